"""What training asks of a policy: briefs over one or several tasks, whole or in part.

A policy that only ever saw one set of operators and sources learns it by heart. Parts drawn at
random teach it to read its brief.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from datachef.core.errors import DatachefError
from datachef.core.problems import did_you_mean
from datachef.core.task import Budget
from datachef.policy.assignment import Assignment
from datachef.policy.brief import Brief
from datachef.policy.prompt import CountTokens
from datachef.policy.space import RecipeSpace
from datachef.policy.training.settings import Subsets


@dataclass(frozen=True)
class Episode:
    """A brief, and the number of the assignment that it is a part of."""

    brief: Brief
    assignment: int


def episodes(
    assignments: Sequence[Assignment],
    subsets: Subsets | None,
    seed: int,
    count_tokens: CountTokens,
    most_tokens: int,
) -> Iterator[Episode]:
    """Briefs without end of at most so many tokens, the assignments in turn; without `subsets` each
    is always whole. Raises `DatachefError` where what is held out is no operator."""
    for name in () if subsets is None else subsets.held_out:
        if name not in assignments[0].space.vocabulary:
            known = assignments[0].space.vocabulary
            raise DatachefError(f"no operator {name!r} to hold out", did_you_mean(name, known))
    whole = [assignment.brief(count_tokens, most_tokens) for assignment in assignments]
    rng = random.Random(f"episodes {seed}")
    while True:
        for number, assignment in enumerate(assignments):
            if subsets is None:
                yield Episode(whole[number], number)
            else:
                space = part_of(assignment.space, subsets, rng)
                yield Episode(assignment.brief(count_tokens, most_tokens, space), number)


def part_of(
    space: RecipeSpace, subsets: Subsets, rng: random.Random, needed: Collection[str] = ()
) -> RecipeSpace:
    """A random part of a space that still has all operators and sources that are `needed`."""
    offered = [name for name in space.operators if name not in subsets.held_out]
    # First of all, since some mix stays in any part: none that is held out.
    space = space.narrowed({*offered, *needed}, space.surveys)
    operators = _some(offered, subsets.operators, rng)
    sources = _some(sorted(space.surveys), subsets.sources, rng)
    budget = _less(space.budget, rng.uniform(*subsets.budget))
    return space.narrowed({*operators, *needed}, {*sources, *needed}, budget)


def _some(names: Sequence[str], shares: tuple[float, float], rng: random.Random) -> list[str]:
    count = round(rng.uniform(*shares) * len(names))
    return rng.sample(names, min(max(count, 1), len(names)))


def _less(budget: Budget | None, share: float) -> Budget | None:
    if budget is None:
        return None
    if budget.tokens is not None:
        return Budget(tokens=max(int(share * budget.tokens), 1))
    return Budget(rows=max(int(share * (budget.rows or 0)), 1))
