"""Evolutionary search: the best of a random few become parents, and the oldest are removed."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from datachef.policy.search.base import DrawnSearch
from datachef.policy.space import RandomChooser, RecipeSpace

Trace = Mapping[str, int]
Part = tuple[str, ...]


class EvolutionarySearch(DrawnSearch[Trace]):
    """Regularized evolution (Real et al. 2019, https://arxiv.org/abs/1802.01548): a parent is the
    best of a random few of the population, and its child replaces the oldest member.

    A child has the choices of its parent, except one or a few that are drawn again. Unlike in the
    paper, some children have two parents.
    """

    def __init__(
        self,
        space: RecipeSpace,
        seed: int,
        population: int = 24,
        tournament: int = 8,
        crossover: float = 0.25,
    ) -> None:
        """The first `population` recipes are random. The best of `tournament` drawn members becomes
        a parent; `crossover` is the share of children with two parents."""
        super().__init__(space, "evolved")
        self._seed = seed
        self._random = random.Random(seed)
        self._population = population
        self._tournament = tournament
        self._crossover = crossover
        self._living: deque[tuple[Trace, float]] = deque(maxlen=population)
        self._draws = 0

    def draw(self) -> tuple[dict[str, Any], Trace]:
        self._draws += 1
        chooser = RandomChooser(f"{self._seed}/{self._draws}", self._inherited())
        return self.space.draw(chooser), chooser.trace

    def learn(self, origin: Trace, value: float) -> None:
        self._living.append((origin, value))

    def _inherited(self) -> Trace:
        """The choices that the next recipe inherits; none for a random one."""
        if self.asked <= self._population or not self._living:
            return {}
        known = self._parent()
        if self._random.random() < self._crossover:
            known = crossed(known, self._parent(), self._random)
        return mutated(known, self._random)

    def _parent(self) -> Trace:
        drawn = self._random.choices(self._living, k=self._tournament)
        return max(drawn, key=lambda one: one[1])[0]


def mutated(trace: Trace, chance: random.Random) -> dict[str, int]:
    """A trace without one of its places, or with decreasing probability several, which are to be
    drawn again."""
    count = 1
    while count < len(trace) and chance.random() < 0.5:
        count += 1
    gone = set(chance.sample(sorted(trace), min(count, len(trace))))
    return {place: chosen for place, chosen in trace.items() if place not in gone}


def crossed(first: Trace, second: Trace, chance: random.Random) -> dict[str, int]:
    """The choices of two traces: for each part of a recipe, those of one of them.

    Choices about the same source, or about the same step on the corpus, stay together.
    """
    parts = _by_part(first), _by_part(second)
    known: dict[str, int] = {}
    for part in sorted({*parts[0], *parts[1]}):
        one, other = chance.sample(parts, 2)
        # If the child gets a source that only the other one has, its choices come from there.
        known |= other.get(part, {}) | one.get(part, {})
    return known


def _by_part(trace: Trace) -> dict[Part, dict[str, int]]:
    """The choices by part: `.sources.web.weight` is with `.sources.web?`, `.steps[0].op` with
    `.steps[0].share`."""
    parts: dict[Part, dict[str, int]] = {}
    for place, chosen in trace.items():
        parts.setdefault(tuple(re.split(r"[.?#\[]", place)[1:3]), {})[place] = chosen
    return parts
