"""Searches that run out: sources as they are, and recipes that people wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datachef.core import DatachefError, Problem, RecipeError
from datachef.policy.scored_recipes import ScoreTracker, read_recipe
from datachef.policy.search import ListedSearch, SourceBaselines, run_search
from datachef.policy.space import RecipeSpace

Spaces = Callable[..., RecipeSpace]
Problems = Callable[[Mapping[str, Any]], list[Problem]]

SOURCES = ("pages", "dialogues", "notes", "spam")


def baselines(space: RecipeSpace) -> dict[str, dict[str, Any]]:
    return {recipe["name"]: recipe for recipe in SourceBaselines(space).ask(100)}


@pytest.mark.parametrize("budget", ["tokens: 1_000_000", "tokens: 100", "rows: 50"])
def test_each_source_alone_and_all_together(
    space_within: Spaces, problems: Problems, budget: str
) -> None:
    found = baselines(space_within(budget))
    assert list(found) == ["all-by-size", "all-equally", *(f"only-{name}" for name in SOURCES)]
    for name in SOURCES:
        assert found[f"only-{name}"]["sources"] == {name: {}}
    assert found["all-by-size"]["sources"] == {name: {} for name in SOURCES}
    assert len(set(found["all-equally"]["mix"]["weights"].values())) == 1
    assert [problem for recipe in found.values() for problem in problems(recipe)] == []


def test_within_the_budget_sources_are_whole(space_within: Spaces) -> None:
    found = baselines(space_within("tokens: 1_000_000"))
    assert [name for name, recipe in found.items() if "mix" in recipe] == ["all-equally"]


@pytest.mark.parametrize(("unit", "amount"), [("tokens", 100), ("rows", 50)])
def test_beyond_the_budget_they_are_cut_to_it(space_within: Spaces, unit: str, amount: int) -> None:
    found = baselines(space_within(f"{unit}: {amount}"))
    assert all(recipe["mix"]["budget"] == {unit: amount} for recipe in found.values())
    assert "weights" not in found["all-by-size"]["mix"]


def test_without_a_mix_there_are_no_equal_weights(space_within: Spaces) -> None:
    found = baselines(space_within("tokens: 100", operators=("exact_dedup",)))
    assert list(found) == ["all-by-size", *(f"only-{name}" for name in SOURCES)]
    assert not any("mix" in recipe for recipe in found.values())


def test_of_a_single_source_there_is_one(space_within: Spaces) -> None:
    assert list(baselines(space_within("tokens: 100", sources=("notes",)))) == ["only-notes"]


def test_what_runs_out_spends_what_it_has(
    space: RecipeSpace, tracker: Callable[[], ScoreTracker]
) -> None:
    assert len(run_search(SourceBaselines(space), tracker(), 100, batch=4)) == 6
    assert len(run_search(SourceBaselines(space), tracker(), 5, batch=4)) == 5


def test_human_recipes_are_taken_unchanged(
    folder: Path, tracker: Callable[[], ScoreTracker]
) -> None:
    files = [folder / "mine.yaml", folder / "yours.yaml"]
    files[0].write_text("name: mine\nsources: {pages: {}}\n")
    files[1].write_text("name: yours\nsources: {spam: {}}\n")
    calls = run_search(ListedSearch(map(read_recipe, files)), tracker(), 10)
    assert [each.recipe for each in calls] == [
        {"name": "mine", "sources": {"pages": {}}},
        {"name": "yours", "sources": {"spam": {}}},
    ]
    assert [each.score.gate for each in calls] == ["", "guardrails"]


def test_the_file_of_a_human_recipe_is_a_mapping_in_yaml(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(DatachefError, match=r"list\.yaml is no recipe"):
        read_recipe(tmp_path / "list.yaml")
