"""The commands of the reward, from end to end: score, evaluate, fit, history."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lxml.html
import pytest


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, make_workspace: Callable[..., Any]) -> Any:
    """A task, a pool, and recipes of different worth."""
    workspace = make_workspace(tmp_path_factory.mktemp("workspace"), rows=300)
    for name, weights in {
        "good": {"good": 1},
        "mixed": {"good": 1, "odd": 1},
        "odd": {"odd": 1},
    }.items():
        workspace.write(f"{name}.yaml", {
            "name": name, "task": "task.yaml", "pool": "pool.yaml",
            "sources": {source: {} for source in weights},
            "mix": {"op": "weighted_mix", "weights": weights},
        })  # fmt: skip
    workspace.write("training.yaml", {"max_tokens": 3000, "max_length": 64})
    return workspace


def test_scores_rank_recipes_and_explain_one(workspace: Any) -> None:
    ranked = workspace.json("score", "odd.yaml", "good.yaml", "mixed.yaml")
    by_name = {found["recipe"]: found["value"] for found in ranked}
    assert by_name["good.yaml"] > by_name["mixed.yaml"] > by_name["odd.yaml"]
    table = workspace.chef("score", "odd.yaml", "good.yaml", "mixed.yaml").stdout
    assert table.index("good.yaml") < table.index("mixed.yaml") < table.index("odd.yaml")
    (mixed,) = workspace.json("score", "mixed.yaml")
    effects = {part["what"]: part["effect"] for part in mixed["contributions"]}
    assert effects["good"] > 0 > effects["odd"]
    shown = workspace.chef("score", "mixed.yaml").stdout
    assert "target.bits_per_byte" in shown
    assert "nothing was measured for this task yet" in shown


FEW_STEPS = """
from datachef.core import Reward, Score, hookimpl


class FewSteps(Reward):
    def __init__(self, config):
        self.penalty = config.options.get("penalty", 0.1)

    def score(self, recipe, base_dir):
        steps = [step for source in recipe["sources"].values() for step in source.get("steps", ())]
        return Score(value=1 - self.penalty * len(steps + recipe.get("steps", [])))


@hookimpl
def datachef_rewards():
    return {"few_steps": FewSteps}
"""


def test_any_registered_reward_is_asked_by_name(workspace: Any) -> None:
    (workspace.folder / "few_steps.py").write_text(FEW_STEPS)
    steps = [{"op": "exact_dedup"}, {"op": "sample", "rows": 50}]
    workspace.write("steps.yaml", {**workspace.read("mixed.yaml"), "steps": steps})
    asked = ("--plugin", "few_steps.py", "score", "--reward", "few_steps")
    half = ("--reward-option", "penalty=0.25")
    (scored,) = workspace.json(*asked, "steps.yaml", *half)
    assert (scored["value"], scored["predicted"], scored["features"]) == (0.5, None, {})
    effects = {part["path"]: part["effect"] for part in scored["contributions"]}
    assert effects["steps[0]"] == effects["steps[1]"] == -0.25
    assert effects["sources.good"] == 0
    shown = workspace.chef(*asked, "steps.yaml", *half).stdout
    assert shown.startswith("steps.yaml: 0.5000\n")
    assert "exact_dedup" in shown and "less the uncertainty" not in shown
    ranked = workspace.chef(*asked, "steps.yaml", "good.yaml").stdout
    assert ranked.index("good.yaml") < ranked.index("steps.yaml")
    said = workspace.chef(*asked, "steps.yaml", "--rows", "9", fails=1).stderr
    assert "only the reward proxy has --rows" in said
    said = workspace.chef(*asked, "steps.yaml", "--reward-option", "penalty", fails=1).stderr
    assert "--reward-option 'penalty' is not NAME=VALUE" in said
    said = workspace.chef("score", "steps.yaml", "--reward", "few_steps", fails=1).stderr
    assert "there is no reward 'few_steps'" in said


PROBLEMS = {"prompt": "question", "completion": "answer"}


def own(*sources: str, **more: Any) -> dict[str, Any]:
    """A recipe that names its files itself, with a step on each source."""
    formats = {"good": PROBLEMS, "odd": {"text": "text"}, "few": PROBLEMS}
    made = {
        name: {"path": f"{name}.jsonl", "format": formats[name], "steps": [{"op": "exact_dedup"}]}
        for name in sources
    }
    return {"name": "own", "task": "task.yaml", "sources": made, **more}


def parts_of(scored: Any) -> dict[str, Any]:
    return {part["path"]: part for part in scored[0]["contributions"]}


def test_a_recipe_scores_the_same_from_any_folder(workspace: Any, tmp_path: Path) -> None:
    workspace.write("own.yaml", own("good", "odd"))
    here = workspace.json("score", "own.yaml")
    elsewhere = type(workspace)(tmp_path)
    for recipe in (
        workspace.folder / "own.yaml",
        os.path.relpath(workspace.folder / "own.yaml", tmp_path),
    ):
        cache = ("--cache", str(tmp_path / "cache"))
        there = elsewhere.json("score", str(recipe), *cache)
        assert {**there[0], "recipe": ""} == {**here[0], "recipe": ""}
    parts = parts_of(here)
    assert set(parts) >= {"sources.good", "sources.odd", "sources.good.steps[0]"}
    assert all(abs(part["effect"]) < 1 and not part["reason"] for part in parts.values())


def test_a_variant_that_is_stopped_has_a_reason_and_no_number(workspace: Any) -> None:
    lines = (workspace.folder / "good.jsonl").read_text().splitlines()[:30]
    (workspace.folder / "few.jsonl").write_text("\n".join(lines))
    workspace.write("few.yaml", own("good", "few"))
    part = parts_of(workspace.json("score", "few.yaml"))["sources.good"]
    assert part["effect"] is None
    assert part["reason"].startswith("stopped: enough_rows: about 30 different rows")
    shown = workspace.chef("score", "few.yaml").stdout
    (line,) = [line for line in shown.splitlines() if "│ sources.good  " in line]
    assert "stopped: enough_rows" in line
    assert not re.search(r"[+-][0-9]", line)


def test_a_variant_that_does_not_resolve_has_a_reason_and_no_number(workspace: Any) -> None:
    making = {"op": "length_filter", "min_chars": 1, "keep_signals": True}
    taking = {"op": "top_selection", "by": "length_chars", "share": 0.9}
    recipe = own("good")
    recipe["sources"]["good"]["steps"] = [making, taking]
    workspace.write("needs.yaml", recipe)
    parts = parts_of(workspace.json("score", "needs.yaml"))
    assert parts["sources.good.steps[0]"]["effect"] is None
    assert "length_chars" in parts["sources.good.steps[0]"]["reason"]
    assert parts["sources.good.steps[1]"]["effect"] is not None
    assert parts["sources.good"]["reason"] == "the only source"
    assert parts["sources.good"]["without"] is None


@pytest.mark.parametrize("output", [{}, {"output": {"schema": "text"}}])
def test_without_a_source_the_rest_keeps_its_form(workspace: Any, output: dict[str, Any]) -> None:
    workspace.write("both.yaml", own("good", "odd", **output))
    workspace.write("as_text.yaml", own("good", output={"schema": "text"}))
    workspace.write("as_turns.yaml", own("good"))
    both = workspace.json("score", "both.yaml")
    text, turns = workspace.json("score", "as_text.yaml", "as_turns.yaml")
    parts = parts_of(both)
    found = (both[0]["schema"], text["schema"], turns["schema"])
    assert found == ("text", "text", "messages")
    assert parts["sources.odd"]["without"] == pytest.approx(text["value"])
    assert parts["sources.odd, output.schema"]["without"] == pytest.approx(turns["value"])
    assert "sources.good, output.schema" not in parts
    alone = parts_of(workspace.json("score", "as_text.yaml"))
    assert alone["output.schema"]["effect"] == pytest.approx(text["predicted"] - turns["predicted"])


def test_limits_stop_a_recipe_outside_of_its_score(workspace: Any) -> None:
    workspace.write("limits.yaml", {"max_source_share": 0.9})
    stopped, fine = workspace.json("score", "good.yaml", "mixed.yaml", "--limits", "limits.yaml")
    assert stopped["gate"] == "guardrails"
    assert "max_source_share" in stopped["reasons"][0]
    assert not fine["gate"]


def test_the_page_of_a_score_has_the_numbers_of_its_json(workspace: Any) -> None:
    attack = "</pre><script>window.attacked = 1</script>"
    recipe = workspace.read("mixed.yaml") | {"description": attack}
    workspace.write("attack.yaml", recipe)
    workspace.write("limits.yaml", {"max_source_share": 0.1})
    for name, limits in (("fine", ()), ("stopped", ("--limits", "limits.yaml"))):
        page = f"{name}.html"
        (told,) = workspace.json("score", "attack.yaml", "--html", page, *limits)
        raw = (workspace.folder / page).read_text(encoding="utf-8")
        shown = lxml.html.document_fromstring(raw.removeprefix("<!doctype html>\n"))
        assert not shown.xpath("//script | //@style | //@src")
        assert attack in shown.text_content()
        figures = {e.get("data-is"): e.text_content() for e in shown.xpath("//dl//dd")}
        assert figures["value"] == f"{told['value']:.4f}"
        values = {
            row.get(f"data-{kind}"): row.xpath("td[@class='n' or @class='n lost']/text()")
            for kind in ("feature", "measure", "limit")
            for row in shown.xpath(f"//tr[@data-{kind}]")
        }
        features = {n: v for n, v in told["features"].items() if v is not None and ".q" not in n}
        for shown_name, value in (*features.items(), *told["measures"].items()):
            assert values[shown_name] == [f"{value:.4f}"]
        effects = {
            row.get("data-part"): row for row in shown.xpath("//table[@class='effects']//tr")
        }
        for part in told["contributions"]:
            if part["effect"] is not None:
                (effect,) = effects[part["path"]].xpath("td[@data-is='effect']/text()")
                assert effect == f"{part['effect']:+.4f}"
        if name == "fine":
            assert figures["predicted"] == f"{told['predicted']:.4f}"
            low, high = told["interval"]
            assert f"{low:.4f} to {high:.4f}" in shown.text_content()
        else:
            (broken,) = told["violations"]
            assert values["max_source_share"] == [f"{broken['measured']:.4f}", "0.1000"]
    told = workspace.chef("score", "good.yaml", "odd.yaml", "--html", "two.html", fails=1).stderr
    assert "--html is for a single recipe" in told


def test_mistakes_are_explained(workspace: Any) -> None:
    workspace.write("no_task.yaml", {"name": "x", "sources": {"s": {"path": "odd.jsonl"}}})
    assert "names no task" in workspace.chef("score", "no_task.yaml", fails=1).stderr
    workspace.write("bad_limits.yaml", {"max_toxicty": 0.1, "min_rows": -1})
    told = workspace.chef("score", "good.yaml", "--limits", "bad_limits.yaml", fails=2).stderr
    assert "bad_limits.yaml:1" in told
    assert "max_toxicity" in told
    assert "min_rows" in told
    listed = workspace.chef("history", "list", "--history", "none.sqlite", fails=1)
    assert "no history" in listed.stderr
    scored = workspace.chef("score", "good.yaml", "--proxy", "task.yaml", fails=1)
    assert "is no proxy" in scored.stderr


@pytest.mark.slow
def test_what_is_measured_teaches_the_proxy(workspace: Any, base_model: str) -> None:
    recipes = []
    for number, share in enumerate((0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)):
        weights = {"good": share, "odd": 1 - share}
        name = f"share-{number}.yaml"
        used = {source: weight for source, weight in weights.items() if weight}
        workspace.write(name, {
            "name": name.removesuffix(".yaml"), "task": "task.yaml", "pool": "pool.yaml",
            "sources": {source: {} for source in used},
            "mix": {"op": "weighted_mix", "weights": used, "budget": {"rows": 250}},
        })  # fmt: skip
        recipes.append(name)
    options = (
        "--base-model",
        base_model,
        "--training",
        "training.yaml",
        "--seeds",
        "1",
        "--no-accuracy",
        "--items",
        "10",
    )
    first = workspace.json("evaluate", *recipes, *options)
    assert len(first) == 7
    assert all(0 < measured["score"] < 1 for measured in first)
    assert {measured["base_model"] for measured in first} == {base_model}
    again = workspace.json("evaluate", recipes[0], *options)
    assert again == [first[0]], "what the history has is not measured again"
    assert "share-3" in workspace.chef("history", "list").stdout
    best = workspace.json("history", "best", "fruit", "--number", "2")
    assert best[0]["score"] == max(measured["score"] for measured in first)
    compared = workspace.chef("history", "compare", "share-0", "share-6").stdout
    assert "beside share-0" in compared
    assert "7 measurements" in workspace.chef("history", "export", "shared.parquet").stdout
    taken = workspace.chef(
        "history", "import", "shared.parquet", "--history", "other.sqlite"
    ).stdout
    assert "7 new measurements" in taken
    report = workspace.json("fit", "--task", "task.yaml", "-o", "proxy.json")
    assert report["noise"]["fruit"]["repeated"] == 0
    assert report["refit"] is None, "there was no proxy to compare with"
    told = workspace.chef("fit", "--task", "task.yaml", "-o", "proxy.json").stdout
    assert "rank correlation" in told, "a proxy that is there is no obstacle"
    told = workspace.chef("score", "mixed.yaml", "--proxy", "proxy.json").stdout
    assert "nothing was measured" not in told
    by_history = workspace.chef("score", "mixed.yaml", "--history", "history.sqlite").stdout
    assert by_history.splitlines()[0] == told.splitlines()[0]
    asked = (
        "score",
        "mixed.yaml",
        "--history",
        "history.sqlite",
        "--no-explain",
        "--html",
        "h.html",
    )
    (found,) = workspace.json(*asked)
    assert found["reference"]["score_name"] == first[0]["score_name"]
    known = [value for value in found["reference"].values() if isinstance(value, float)]
    page = (workspace.folder / "h.html").read_text(encoding="utf-8")
    assert known
    assert all(f"{value:.4f}" in page for value in known)
