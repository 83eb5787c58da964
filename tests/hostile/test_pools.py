"""Recipes that are bound to a pool and would say, read or spend more than the pool allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bound_recipes import Bound, resolved, told

from datachef.core import DatachefError, Host, RunError, document, run_recipe
from datachef.reward.commands.score import task_of

REFUSED = [
    ("licence", "MIT"),
    ("licence", ""),
    ("description", "Ignore all other sources."),
    ("max_failed", 1.0),
    ("max_failed", 0.0),
    ("max_failed_files", 9),
    ("format", {"text": "secret"}),
    ("format", {"text": "{text}{secret}"}),
    ("format", None),
    ("take", 21),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_source_of_the_pool_is_what_the_pool_says(
    bound: Bound, place: Path, host: Host, field: str, value: Any
) -> None:
    result = bound({"sources": {"web": {field: value}}})
    assert told(result) == [("not_in_pool", f"sources.web.{field}")]
    recipe = resolved(place, host)
    assert recipe is not None
    own = recipe.sources["web"]
    assert (own.licence, own.description, own.take) == ("CC-BY-NC-4.0", "Pages.", 20)
    assert (own.max_failed, own.max_failed_files, own.format) == (0.0, 0, None)


@pytest.mark.parametrize(
    "fields", [{"encoding": "utf-16"}, {"csv": {}}, {"rows": "line"}, {"split": "test"},
               {"<<": {"licence": "MIT"}}, {"Licence": "MIT"}, {"license": "MIT"}]
)  # fmt: skip
def test_how_a_source_is_read_is_not_even_a_field_of_it(
    bound: Bound, fields: dict[str, Any]
) -> None:
    (name,) = fields
    (problem,) = bound({"sources": {"web": fields}}).problems
    assert (problem.code, name in problem.path) == ("unknown_field", True)


@pytest.mark.parametrize(
    "text",
    [
        "sources: {web: &a {take: 1}, chat: *a}",
        "sources:\n  web: {take: 1}\n  web: {licence: MIT}",
        "sources: {web: !!map {}}",
    ],
)
def test_yaml_has_no_second_way_to_say_it(bound: Bound, text: str) -> None:
    assert bound(f"name: x\n{text}\n").problems


@pytest.mark.parametrize("name", ["Web", "WEB", "web ", "wеb", "web/", "../web", "web\u200b", ""])
def test_no_other_spelling_is_a_source_of_the_pool(
    bound: Bound, place: Path, host: Host, name: str
) -> None:
    result = bound({"sources": {name: {}}})
    assert result.problems
    recipe = resolved(place, host)
    assert recipe is None or not recipe.sources


@pytest.mark.parametrize("key", ["path", "hf"])
def test_no_source_of_ones_own_takes_the_name_of_one_of_the_pool(bound: Bound, key: str) -> None:
    result = bound({"sources": {"web": {key: "../secret.jsonl"}}})
    assert told(result) == [("not_in_pool", f"sources.web.{key}")]


def test_steps_and_fewer_rows_are_for_the_recipe_to_say(bound: Bound) -> None:
    steps = [{"op": "length_filter", "min_chars": 3}]
    result = bound({"sources": {"web": {"take": 5, "steps": steps}, "chat": {"take": 30}}})
    assert told(result) == []
    web = result.passed().sources["web"]
    assert (web.take, web.licence) == (5, "CC-BY-NC-4.0")
    assert bound({"sources": {"web": {"take": None}}}).passed().sources["web"].take == 20


def test_whoever_names_a_pool_themselves_may_say_more(bound: Bound) -> None:
    own = {"licence": "MIT", "max_failed": 0.5, "take": 30}
    result = bound({"pool": "../pool/pool.yaml", "sources": {"web": own}}, pool=None)
    assert told(result) == []
    assert result.passed().sources["web"].licence == "MIT"


@pytest.mark.parametrize("name", ["pool", "web"])
@pytest.mark.parametrize(
    "step",
    [
        {"op": "word_list", "words": "../secret.jsonl"},
        {"op": "language_filter", "model": "../secret.jsonl"},
        {"op": "decontaminate", "benchmark": {"path": "../secret.jsonl"}},
        {"op": "decontaminate", "benchmark": {"path": "../pool/web.jsonl", "prompt": "secret"}},
    ],
    ids=lambda step: step["op"],
)
def test_no_name_of_a_source_opens_the_files_of_its_steps(
    bound: Bound, name: str, step: dict[str, Any]
) -> None:
    """Nor does the step itself get to look at them (`word_list` would print its file)."""
    for data in ({"sources": {name: {"steps": [step]}}}, {"sources": {name: {}}, "steps": [step]}):
        found = [problem for problem in bound(data).problems if problem.code != "missing_package"]
        assert [problem.code for problem in found] == ["not_in_pool"]
        assert "my key" not in str(found[0])


TASKS = [
    ("../secret.jsonl", "benchmark"),
    ("/etc/passwd", "benchmark"),
    ("link.jsonl", "benchmark"),
    ("../pool/../secret.jsonl", "examples"),
    ("folder/secret.jsonl", "examples"),
]


@pytest.mark.parametrize(("path", "part"), TASKS)
def test_a_task_that_came_with_the_recipe_reads_nothing_elsewhere(
    bound: Bound, place: Path, host: Host, path: str, part: str
) -> None:
    (place / "recipes" / "link.jsonl").symlink_to(place / "secret.jsonl")
    (place / "recipes" / "folder").symlink_to(place)
    parts = {"benchmark": {"path": "bench.jsonl"}, part: {"path": path}}
    (place / "recipes" / "task.yaml").write_text(document.dump({"name": "t", **parts}))
    result = bound({"sources": {"web": {}}, "task": "task.yaml"})
    assert ("not_in_pool", f"{part}.path") in told(result)
    recipe = resolved(place, host)
    assert recipe is not None and recipe.task is None
    assert not any("my key" in str(problem) for problem in result.problems)


def test_a_task_beside_the_pool_reads_what_it_names(bound: Bound, place: Path) -> None:
    for folder, path in (("pool", "../recipes/bench.jsonl"), ("recipes", "../pool/bench.jsonl")):
        task = {"name": "t", "benchmark": {"path": path}}
        (place / folder / "task.yaml").write_text(document.dump(task))
        assert told(bound({"sources": {"web": {}}, "task": f"../{folder}/task.yaml"})) == []


@pytest.mark.parametrize("more", [{"pool": "other.yaml"}, {"sources": {}}])
def test_a_task_names_no_pool(bound: Bound, place: Path, more: dict[str, Any]) -> None:
    task = {"name": "t", "benchmark": {"path": "bench.jsonl"}, **more}
    (place / "recipes" / "task.yaml").write_text(document.dump(task))
    (name,) = more
    found = told(bound({"sources": {"web": {}}, "task": "task.yaml"}))
    assert ("unknown_field", name) in found


def test_a_link_to_a_task_elsewhere_is_elsewhere(bound: Bound, place: Path) -> None:
    (place / "task.yaml").write_text("name: t\nbenchmark: {path: secret.jsonl}\n")
    (place / "recipes" / "task.yaml").symlink_to(place / "task.yaml")
    result = bound({"sources": {"web": {}}, "task": "task.yaml"})
    assert ("not_in_pool", "task") in told(result)


STRANGE: list[tuple[str, dict[str, Any]]] = [
    ("../secret.jsonl", {}),
    ("/etc/passwd", {}),
    ("link.yaml", {}),
    ("task.yaml", {"benchmark": {"path": "../secret.jsonl"}}),
    ("task.yaml", {"examples": {"path": "/etc/passwd"}}),
    ("task.yaml", {"base_model": "unknown/model"}),
    ("task.yaml", {"base_model": "../secret"}),
    ("task.yaml", {"benchmark": {"lm_eval": "../secret.yaml"}}),
]


@pytest.mark.parametrize(("name", "more"), STRANGE)
def test_no_recipe_chooses_what_it_is_scored_by(
    place: Path, name: str, more: dict[str, Any]
) -> None:
    """`chef score` and `chef evaluate` take the task of the recipe as if they were asked to."""
    folder, pool = place / "recipes", place / "pool" / "pool.yaml"
    (folder / "link.yaml").symlink_to(place / "secret.jsonl")
    (place / "secret").mkdir()
    task = {"name": "t", "benchmark": {"path": "bench.jsonl"}}
    (folder / "task.yaml").write_text(document.dump({**task, **more}))
    recipe = folder / "recipe.yaml"
    recipe.write_text(document.dump({"name": "x", "sources": {"web": {}}, "task": name}))
    with pytest.raises(DatachefError, match="bound to a pool") as caught:
        task_of([document.read(recipe)], pool)
    assert "my key" not in str(caught.value) + caught.value.hint
    assert task_of([document.read(recipe)]) == (folder / name).resolve()  # where nothing binds it
    (folder / "task.yaml").write_text(document.dump(task))
    recipe.write_text(document.dump({"name": "x", "sources": {"web": {}}, "task": "task.yaml"}))
    assert task_of([document.read(recipe)], pool) == folder / "task.yaml"


@pytest.mark.parametrize("budget", [{"rows": 10**12}, {"tokens": 10**15}, {"rows": 40_001}])
def test_no_budget_fills_the_disk_with_copies(
    bound: Bound, place: Path, host: Host, budget: dict[str, int]
) -> None:
    mix = {"op": "weighted_mix", "weights": {"pool": 1}, "budget": budget, "shortage": "repeat"}
    assert told(bound({"sources": {"pool": {}}, "mix": mix})) == []
    pool, recipe = place / "pool" / "pool.yaml", place / "recipes" / "recipe.yaml"
    how: dict[str, Any] = {"host": host, "pool": pool, "engine": "inline", "cache": place / "cache"}
    with pytest.raises(RunError, match=r"repeat pool .* times"):
        run_recipe(recipe, place / "corpus", **how)
    assert not (place / "corpus").exists()
    bound({"sources": {"pool": {}}, "mix": {**mix, "budget": {"rows": 400}}})
    assert run_recipe(recipe, place / "corpus", **how).rows == 400
