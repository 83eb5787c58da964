"""The commands of the reward, from end to end: score, evaluate, fit, history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory, make_kitchen: Callable[..., Any]) -> Any:
    """A task, a pool, and recipes of different worth."""
    pantry = make_kitchen(tmp_path_factory.mktemp("pantry"), rows=300)
    for name, weights in {
        "good": {"good": 1},
        "mixed": {"good": 1, "odd": 1},
        "odd": {"odd": 1},
    }.items():
        pantry.write(f"{name}.yaml", {
            "name": name, "task": "task.yaml", "pool": "pool.yaml",
            "sources": {source: {} for source in weights},
            "mix": {"op": "weighted_mix", "weights": weights},
        })  # fmt: skip
    pantry.write("training.yaml", {"max_tokens": 3000, "max_length": 64})
    return pantry


def test_scores_rank_recipes_and_explain_one(pantry: Any) -> None:
    ranked = pantry.json("score", "odd.yaml", "good.yaml", "mixed.yaml")
    by_name = {found["recipe"]: found["value"] for found in ranked}
    assert by_name["good.yaml"] > by_name["mixed.yaml"] > by_name["odd.yaml"]
    table = pantry.chef("score", "odd.yaml", "good.yaml", "mixed.yaml").stdout
    assert table.index("good.yaml") < table.index("mixed.yaml") < table.index("odd.yaml")
    (mixed,) = pantry.json("score", "mixed.yaml")
    effects = {part["what"]: part["effect"] for part in mixed["contributions"]}
    assert effects["good"] > 0 > effects["odd"]
    shown = pantry.chef("score", "mixed.yaml").stdout
    assert "target.bits_per_byte" in shown
    assert "nothing was measured for this task yet" in shown


def test_limits_stop_a_recipe_outside_of_its_score(pantry: Any) -> None:
    pantry.write("limits.yaml", {"max_source_share": 0.9})
    stopped, fine = pantry.json("score", "good.yaml", "mixed.yaml", "--limits", "limits.yaml")
    assert stopped["gate"] == "guardrails"
    assert "max_source_share" in stopped["reasons"][0]
    assert not fine["gate"]


def test_mistakes_are_explained(pantry: Any) -> None:
    pantry.write("no_task.yaml", {"name": "x", "sources": {"s": {"path": "odd.jsonl"}}})
    assert "names no task" in pantry.chef("score", "no_task.yaml", fails=1).stderr
    pantry.write("bad_limits.yaml", {"max_toxicty": 0.1, "min_rows": -1})
    told = pantry.chef("score", "good.yaml", "--limits", "bad_limits.yaml", fails=2).stderr
    assert "bad_limits.yaml:1" in told
    assert "max_toxicity" in told
    assert "min_rows" in told
    listed = pantry.chef("history", "list", "--history", "none.sqlite", fails=1)
    assert "no history" in listed.stderr
    scored = pantry.chef("score", "good.yaml", "--proxy", "task.yaml", fails=1)
    assert "is no proxy" in scored.stderr


@pytest.mark.slow
def test_what_is_measured_teaches_the_proxy(pantry: Any) -> None:
    recipes = []
    for number, share in enumerate((0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)):
        weights = {"good": share, "odd": 1 - share}
        name = f"share-{number}.yaml"
        used = {source: weight for source, weight in weights.items() if weight}
        pantry.write(name, {
            "name": name.removesuffix(".yaml"), "task": "task.yaml", "pool": "pool.yaml",
            "sources": {source: {} for source in used},
            "mix": {"op": "weighted_mix", "weights": used, "budget": {"rows": 250}},
        })  # fmt: skip
        recipes.append(name)
    options = ("--training", "training.yaml", "--seeds", "1", "--no-accuracy", "--items", "10")
    first = pantry.json("evaluate", *recipes, *options)
    assert len(first) == 7
    assert all(0 < measured["score"] < 1 for measured in first)
    assert {measured["base_model"] for measured in first} == {"tiny"}
    again = pantry.json("evaluate", recipes[0], *options)
    assert again == [first[0]], "what the history has is not measured again"
    assert "share-3" in pantry.chef("history", "list").stdout
    best = pantry.json("history", "best", "fruit", "--number", "2")
    assert best[0]["score"] == max(measured["score"] for measured in first)
    compared = pantry.chef("history", "compare", "share-0", "share-6").stdout
    assert "beside share-0" in compared
    assert "7 measurements" in pantry.chef("history", "export", "shared.parquet").stdout
    taken = pantry.chef("history", "import", "shared.parquet", "--history", "other.sqlite").stdout
    assert "7 new measurements" in taken
    report = pantry.json("fit", "--task", "task.yaml", "-o", "proxy.json")
    assert report["noise"]["fruit"]["repeated"] == 0
    assert "rank correlation" in pantry.chef("fit").stdout
    told = pantry.chef("score", "mixed.yaml", "--proxy", "proxy.json").stdout
    assert "nothing was measured" not in told
    by_history = pantry.chef("score", "mixed.yaml", "--history", "history.sqlite").stdout
    assert by_history.splitlines()[0] == told.splitlines()[0]
