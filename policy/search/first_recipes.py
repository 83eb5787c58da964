"""What to measure before anything is known: what people try first, and a few that spread out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datachef.core.contracts.operator import Operator
from datachef.core.contracts.transform import ConversationTransform
from datachef.core.errors import DatachefError
from datachef.policy.scored_recipes import (
    Recipe,
    ScoredRecipe,
    ScoreTracker,
    first_of_each,
    recipe_key,
)
from datachef.policy.search.base import RandomSearch, SourceBaselines
from datachef.policy.space import RecipeSpace

# Of each kind the next is taken in this order, as long as there is one.
ORDER = ("alone", "together", "adapted", "alone", "spread")
# The sources that are adapted, besides all of them together.
ADAPTED = 3


def first_recipes(
    space: RecipeSpace,
    tracker: ScoreTracker,
    human: Sequence[Recipe],
    drawn: int,
    seed: int,
) -> Iterator[ScoredRecipe]:
    """The recipes to measure first, those that come first before all others.

    Recipes by people, then in turn: single sources, those that the reward values most first; all
    sources; these with the steps that bring rows into the form of the task; and of `drawn` random
    recipes the one whose features are furthest from those of all before it (greedy k-center,
    Gonzalez 1985, https://doi.org/10.1016/0304-3975(85)90224-5). No recipe that a gate stops, and
    none twice.
    """
    sources = SourceBaselines(space).ask(len(space.sources) + 2)
    alone = _scored(tracker, [one for one in sources if len(one["sources"]) == 1])
    together = _scored(tracker, [one for one in sources if len(one["sources"]) > 1])
    bases = [*alone[:1], *together[:1], *alone[1:ADAPTED]]
    adapted = [best for base in bases if (best := _adapted(space, tracker, base.recipe))]
    random = _scored(tracker, RandomSearch(space, seed).ask(drawn))
    left = {"alone": alone, "together": together, "adapted": adapted, "spread": random}
    yield from in_turn(_scored(tracker, human), left)


def in_turn(
    by_people: Sequence[ScoredRecipe], by_kind: Mapping[str, Sequence[ScoredRecipe]]
) -> Iterator[ScoredRecipe]:
    """All recipes, none twice: those by people, then of each kind in `ORDER` the next one, until
    nothing is left; of the kind `spread` the next is the furthest from all before it."""
    left = {kind: list(scored) for kind, scored in by_kind.items()}
    vectors = _vectors([*by_people, *(each for scored in left.values() for each in scored)])
    taken = list(by_people)
    known = {recipe_key(each.recipe) for each in taken}
    yield from by_people
    while any(left.values()):
        for kind in ORDER:
            if not left.get(kind):
                continue
            furthest = _furthest(left[kind], taken, vectors) if kind == "spread" else 0
            each = left[kind].pop(furthest)
            if (key := recipe_key(each.recipe)) not in known:
                known.add(key)
                taken.append(each)
                yield each


def _scored(tracker: ScoreTracker, recipes: Sequence[Recipe]) -> list[ScoredRecipe]:
    """The different recipes that passed all gates, the highest value first."""
    scores = tracker.score_all(recipes)
    scored = [ScoredRecipe(r, s) for r, s in zip(recipes, scores, strict=True) if not s.gate]
    unique = first_of_each((recipe_key(each.recipe), each) for each in scored)
    return sorted(unique, key=lambda each: -each.score.value)


def _adapted(space: RecipeSpace, tracker: ScoreTracker, base: Recipe) -> ScoredRecipe | None:
    """The recipe with the steps on every source that the reward values most; None if the space has
    no such steps."""
    found: list[dict[str, Any]] = []
    steps = [{"op": name} for name in space.operators if _brings_into_form(space, name)]
    for count in range(1, len(steps) + 1):
        for chosen in combinations(steps, count):
            sources = {name: {"steps": list(chosen)} for name in base["sources"]}
            recipe = {**base, "name": f"adapted-{base['name']}"[:100], "sources": sources}
            try:
                space.draft(recipe)
            except DatachefError:  # not within the limits
                continue
            found.append(recipe)
    return next(iter(_scored(tracker, found)), None)


def _brings_into_form(space: RecipeSpace, name: str) -> bool:
    """Whether an operator rewrites turns to what the task says."""
    kind = space.vocabulary.operator_type(name)
    return (
        kind is not None
        and issubclass(kind, ConversationTransform)
        and kind.for_task is not Operator.for_task
    )


Vectors = Mapping[bytes, NDArray[np.float64]]


def _vectors(scored: Sequence[ScoredRecipe]) -> Vectors:
    """The features of recipes in standard deviations; what is unknown is as in the median one."""
    names = sorted({name for each in scored for name in each.score.features})
    rows = [[each.score.features.get(name, math.nan) for name in names] for each in scored]
    table = np.array(rows, np.float64).reshape(len(rows), len(names))
    table = table[:, ~np.isnan(table).all(axis=0)]
    table = np.where(np.isnan(table), np.nanmedian(table, axis=0) if table.size else 0.0, table)
    deviation = table.std(axis=0)
    scaled = table / np.where(deviation > 0, deviation, 1.0)
    return {recipe_key(each.recipe): row for each, row in zip(scored, scaled, strict=True)}


def _furthest(
    scored: Sequence[ScoredRecipe], taken: Sequence[ScoredRecipe], vectors: Vectors
) -> int:
    """The index of the recipe that is furthest from the nearest of those that are taken."""
    if not taken:
        return 0
    before = np.stack([vectors[recipe_key(each.recipe)] for each in taken])

    def distance(each: ScoredRecipe) -> float:
        return float(np.linalg.norm(before - vectors[recipe_key(each.recipe)], axis=1).min())

    return max(range(len(scored)), key=lambda index: distance(scored[index]))
