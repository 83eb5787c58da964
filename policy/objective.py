"""Where every recipe is scored, whoever wrote it, so that all have the same count of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datachef.core.document import read
from datachef.core.errors import DatachefError, RecipeError
from datachef.core.reward import Reward, Score

Recipe = Mapping[str, Any]


def plain_recipe(path: Path) -> dict[str, Any]:
    """The recipe in a YAML file, as plain data. Raises `RecipeError` where there is none."""
    found = read(path)
    if found.problems:
        raise RecipeError(found.problems)
    if not isinstance(found.data, dict) or not isinstance(found.data.get("sources"), dict):
        raise DatachefError(f"{path} is no recipe", "it has no sources")
    return found.data


def recipe_key(recipe: Recipe) -> bytes:
    """The same for recipes that differ in nothing but their names."""
    rest = {name: value for name, value in recipe.items() if name != "name"}
    return orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True)
class Call:
    """A recipe and what the reward said of it."""

    recipe: Recipe
    score: Score


class Objective:
    """A reward that counts: `calls` are all that it was asked, in their order, repeats included,
    though a recipe that is asked for again is not scored again.

    Sources and paths of recipes are found from `folder`.
    """

    def __init__(self, reward: Reward, folder: Path) -> None:
        self._reward = reward
        self._folder = folder.absolute()
        self._known: dict[bytes, Score] = {}
        self.calls: list[Call] = []

    def score_all(self, recipes: Sequence[Recipe]) -> list[Score]:
        """The scores of recipes, in their order. Their names make no difference."""
        keys = [recipe_key(recipe) for recipe in recipes]
        asked = dict(zip(keys, recipes, strict=True))
        new = {key: recipe for key, recipe in asked.items() if key not in self._known}
        scored = self._reward.score_all(new.values(), self._folder)
        self._known |= dict(zip(new, scored, strict=True))
        scores = [self._known[key] for key in keys]
        self.calls += [Call(r, s) for r, s in zip(recipes, scores, strict=True)]
        return scores

    def replace_reward(self, reward: Reward) -> None:
        """Asks another reward from now on, and forgets what the one before said."""
        self._reward = reward
        self._known.clear()

    def close(self) -> None:
        """Ends what the reward holds."""
        self._reward.close()

    @property
    def best(self) -> Call:
        """The first of the calls with the highest value. Raises `ValueError` before any."""
        return max(self.calls, key=lambda call: call.score.value)
