"""Where every recipe is scored, whoever wrote it, so that all have the same count of calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datachef.core import document
from datachef.core.contracts.reward import Reward, Score
from datachef.core.document import read
from datachef.core.errors import DatachefError, RecipeError
from datachef.core.problems import dotted
from datachef.policy.space.steps import REASON

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


def best_different(calls: Sequence[Call], count: int) -> list[Call]:
    """At most `count` calls, highest value first and of equal ones the one with fewer steps, no two
    of the same recipe.

    Recipes of the same sources and operators differ in numbers alone: only the best of them is
    taken as long as there are others.
    """
    ranked = sorted(calls, key=_rank)
    once = firsts((recipe_key(call.recipe), call) for call in ranked)
    leaders = firsts((_parts(call.recipe), call) for call in once)[:count]
    others = [call for call in once if call not in leaders]
    return sorted([*leaders, *others[: count - len(leaders)]], key=_rank)


def _rank(call: Call) -> tuple[float, int]:
    sources = call.recipe["sources"].values()
    steps = sum(len((source or {}).get("steps") or ()) for source in [*sources, call.recipe])
    return -call.score.value, steps


def firsts(keyed: Iterable[tuple[object, Call]]) -> list[Call]:
    """The first call of each key, in their order."""
    found: dict[object, Call] = {}
    for key, call in keyed:
        found.setdefault(key, call)
    return list(found.values())


def _parts(recipe: Recipe) -> tuple[object, ...]:
    """The sources of a recipe with their operators, and those on the corpus."""
    sources = recipe["sources"]
    named = [(name, _operators(sources[name] or {})) for name in sorted(sources)]
    return (*named, _operators(recipe))


def _operators(stepped: Recipe) -> tuple[str, ...]:
    return tuple(step["op"] for step in stepped.get("steps") or ())


def reasons_in(draft: Mapping[str, Any]) -> dict[str, str]:
    """What the model wrote of its steps, by their places in the recipe."""
    found: dict[str, str] = {}
    for name, source in draft["sources"].items():
        found |= _reasons(source.get("steps", ()), ("sources", name))
    return found | _reasons(draft.get("steps", ()), ())


def with_comments(recipe: Recipe, comments: Mapping[str, str], head: str = "") -> str:
    """The YAML of a recipe. Comments stand behind the lines of their places; `head` stands above
    all, line by line."""
    lines = document.dump(dict(recipe)).splitlines()
    places = document.parse("\n".join(lines)).places
    lines_of = {dotted(location): line for location, (line, _) in places.items()}
    for place, comment in comments.items():
        if place in lines_of:
            lines[lines_of[place] - 1] += f"  # {_one_line(comment)}"
    above = [f"# {_one_line(line)}" for line in head.splitlines()]
    return "\n".join([*above, *lines]) + "\n"


def _reasons(steps: Any, above: tuple[str, ...]) -> dict[str, str]:
    return {
        dotted((*above, "steps", index)): str(step[REASON])
        for index, step in enumerate(steps)
        if step.get(REASON)
    }


def _one_line(text: str) -> str:
    """Text of a model without anything that could end a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
