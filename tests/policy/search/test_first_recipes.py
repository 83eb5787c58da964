"""What is measured before anything is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Reward, Score
from datachef.policy.scored_recipes import ScoreTracker
from datachef.policy.search.first_recipes import first_recipes
from datachef.policy.space import RecipeSpace


class Liking(Reward):
    """Likes dialogues best, then pages; stops spam. The one feature is the share of pages."""

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        names = list(recipe["sources"])
        if names == ["spam"]:
            return Score(-1.5, gate="guardrails")
        weights = recipe.get("mix", {}).get("weights") or dict.fromkeys(names, 1.0)
        pages, dialogues = (
            weights.get(name, 0) / sum(weights.values()) for name in ("pages", "dialogues")
        )
        used = {s["op"] for source in recipe["sources"].values() for s in source.get("steps", ())}
        value = 0.2 * pages + 0.5 * dialogues + 0.1 * (used == {"answer_form", "prompt_form"})
        return Score(value, features={"share.pages": pages})


@pytest.fixture
def space(space_within: Callable[..., RecipeSpace]) -> RecipeSpace:
    operators = ("answer_form", "prompt_form", "fix_unicode", "weighted_mix")
    return space_within("tokens: 1_000", operators=operators, source_steps=2)


def test_first_comes_what_people_try(space: RecipeSpace, folder: Path) -> None:
    tracker = ScoreTracker(Liking(), folder)
    mine = {"name": "mine", "sources": {"notes": {"steps": [{"op": "fix_unicode"}]}}}
    found = list(first_recipes(space, tracker, [mine], 12, seed=0))
    names = [each.recipe["name"] for each in found]
    assert names[:4] == ["mine", "only-dialogues", "all-by-size", "adapted-only-dialogues"]
    assert names[4] == "only-pages"
    assert "only-spam" not in names
    adapted = found[3].recipe["sources"]["dialogues"]["steps"]
    assert [step["op"] for step in adapted] == ["answer_form", "prompt_form"]
    keys = [str({**each.recipe, "name": ""}) for each in found]
    assert len(set(keys)) == len(keys)


def test_random_ones_are_far_from_what_comes_before(space: RecipeSpace, folder: Path) -> None:
    tracker = ScoreTracker(Liking(), folder)
    found = list(first_recipes(space, tracker, [], 12, seed=0))
    first = next(n for n, each in enumerate(found) if each.recipe["name"].startswith("random"))

    shares = [each.score.features["share.pages"] for each in found]

    def distance(share: float) -> float:
        return min(abs(share - other) for other in shares[:first])

    drawn = [n for n, each in enumerate(found) if each.recipe["name"].startswith("random")]
    assert first == drawn[0] == 4
    assert distance(shares[first]) == max(distance(shares[n]) for n in drawn) > 0
