"""Which recipes of a round are worth a true measurement."""

from __future__ import annotations

import gc
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from datachef.core.reward import Score
from datachef.policy.assignment import Assignment
from datachef.policy.decoding.local import LocalDecoder
from datachef.policy.objective import Call, recipe_key
from datachef.policy.selection import best_different, firsts
from datachef.policy.space import RandomChooser
from datachef.policy.training.log import Logged
from datachef.policy.training.settings import TrainSettings

# For each recipe to measure so many more, in case that some cannot be.
SPARE = 3


def logged(rows: Sequence[Logged], start: int, end: int) -> list[Call]:
    """What training asked of the reward from one step until before another."""
    some = [row for row in rows if start <= row.step < end]
    return [Call(row.recipe, Score(row.value, gate=row.gate)) for row in some]


def worth_measuring(calls: Sequence[Call], known: Collection[bytes], count: int) -> list[Call]:
    """The `count` best different recipes that passed all gates and are not `known` by their key,
    and after them some more, each part with the best first."""
    fit = [c for c in calls if not c.score.gate and recipe_key(c.recipe) not in known]
    first = best_different(fit, count)
    taken = {recipe_key(call.recipe) for call in first}
    rest = [call for call in fit if recipe_key(call.recipe) not in taken]
    return first + best_different(rest, SPARE * count)


def passing(calls: Sequence[Call]) -> list[Call]:
    """The calls that passed all gates, each recipe once, in their order."""
    once = firsts((recipe_key(call.recipe), call) for call in calls)
    return [call for call in once if not call.score.gate]


def drawn(assignment: Assignment, seed: int, count: int) -> list[dict[str, Any]]:
    """Recipes whose every choice is drawn evenly."""
    space = assignment.space
    choosers = [RandomChooser(f"evolve {seed} {number}") for number in range(count)]
    return [space.recipe(space.draw(each), f"drawn-{n}") for n, each in enumerate(choosers)]


def sampled(
    checkpoint: Path, assignment: Assignment, settings: TrainSettings, seed: int, count: int
) -> list[dict[str, Any]]:
    """Recipes that a policy writes when it is asked for the whole space; the same every time."""
    if not count:
        return []
    gc.collect()  # the trainer's parts refer to one another
    decoder = LocalDecoder.of(checkpoint, settings.batch)
    brief = assignment.brief(decoder.count_tokens, settings.prompt_tokens)
    drafts = decoder.sample([brief] * count, temperature=settings.temperature, seed=seed)
    return [assignment.space.recipe(draft, f"sampled-{n}") for n, draft in enumerate(drafts)]
