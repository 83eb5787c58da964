"""Searches that learn from scores: evolution of the best drafts, and TPE with Optuna."""

from __future__ import annotations

import random
import re
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.policy.search.base import DrawnSearch
from datachef.policy.space import RandomChooser, RecipeSpace

if TYPE_CHECKING:
    from optuna.trial import Trial


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


class TpeSearch(DrawnSearch["Trial"]):
    """TPE (Bergstra et al. 2011, https://papers.nips.cc/paper/4443; Watanabe 2023,
    https://arxiv.org/abs/2304.11127) over the choices of a draft.

    Every place of a draft is a categorical parameter, which exists only if the choices before lead
    to it. By default each is modelled independently; `joint` models those that occur together,
    which finds better recipes in a hundred calls but takes seconds per call after a few hundred.
    """

    def __init__(self, space: RecipeSpace, seed: int, *, joint: bool = False) -> None:
        """Raises `MissingPackageError` without Optuna."""
        super().__init__(space, "tpe")
        self._optuna = _optuna()
        with self._quiet():
            # The constant liar treats a trial without a value as a bad one, whether it is of this
            # batch or a repeated recipe that is never scored, so the next draw differs.
            sampler = self._optuna.samplers.TPESampler(
                multivariate=joint, group=joint, constant_liar=True, seed=seed
            )
            self._study = self._optuna.create_study(direction="maximize", sampler=sampler)

    def draw(self) -> tuple[dict[str, Any], Trial]:
        with self._quiet():
            trial = self._study.ask()
            return self.space.draw(_TrialChooser(trial)), trial

    def learn(self, origin: Trial, value: float) -> None:
        with self._quiet():
            self._study.tell(origin, value)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Turns off Optuna's log, and its warning that joint sampling is experimental."""
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                yield
        finally:
            logging.set_verbosity(before)


class _TrialChooser:
    """Lets an Optuna trial make the choices."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def choose(self, place: str, count: int) -> int:
        # The number of alternatives at a place may depend on the choices before, but a parameter in
        # Optuna always has the same ones: hence the number in its name.
        return self._trial.suggest_categorical(f"{place}/{count}", range(count))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingPackageError("optuna", extra("policy"), "the TPE search") from error
    return optuna
