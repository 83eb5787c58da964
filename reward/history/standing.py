"""What repeated measurements say of a recipe, alone and beside another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from datachef.core.statistics import mean_interval
from datachef.reward.history.measured import Measured, canonical

# Measurements of different tasks, base models or training say nothing of one another.
WorkerConfig = tuple[str, str, str]


@dataclass(frozen=True)
class Standing:
    """A recipe measured in one way over several seeds.

    `mean` is the mean score, `interval` its 95% interval by Student's t over seeds (None for a
    single seed), `scores` the mean of each metric that every one of `measurements` has.
    """

    mean: float
    interval: tuple[float, float] | None
    scores: Mapping[str, float]
    measurements: tuple[Measured, ...]

    @property
    def first(self) -> Measured:
        """The earliest of the measurements, which tells recipe, task and training."""
        return self.measurements[0]


@dataclass(frozen=True)
class Difference:
    """How much better `second` is than `first`, seed by seed; `interval` as in `Standing`."""

    first: Standing
    second: Standing
    mean: float
    interval: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """The standings of all recipes compared, best first, and what sets each apart from the first
    that was named, where both were measured the same way with the same seeds."""

    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]


def standings(measurements: Sequence[Measured]) -> list[Standing]:
    """One for each recipe and way of measuring it, best first; equals in order of their ids."""
    groups: dict[tuple[str, WorkerConfig], list[Measured]] = {}
    for measured in measurements:
        groups.setdefault((measured.recipe_key, setting_of(measured)), []).append(measured)
    found = [standing_of(group) for group in groups.values()]
    return sorted(found, key=lambda standing: (-standing.mean, standing.first.id))


def compared(recipes: Sequence[Sequence[Measured]]) -> Comparison:
    """The comparison of recipes, each given by its measurements, with the first."""
    every = [standings(measurements) for measurements in recipes]
    best_first = sorted((s for one in every for s in one), key=lambda s: (-s.mean, s.first.id))
    differences = [
        difference
        for one in every[1:]
        for second in one
        for first in every[0]
        if setting_of(first.first) == setting_of(second.first)
        and (difference := _difference(first, second)) is not None
    ]
    return Comparison(tuple(best_first), tuple(differences))


def setting_of(measured: Measured) -> WorkerConfig:
    """How it was measured, apart from the recipe and the seed."""
    return (measured.task_key, measured.base_model, canonical(measured.training).decode())


def standing_of(measurements: Sequence[Measured]) -> Standing:
    """What measurements of one recipe, made in one way, say together."""
    scores = [measured.score for measured in measurements]
    names = sorted(set.intersection(*(set(measured.scores) for measured in measurements)))
    bounds = mean_interval(scores)
    return Standing(
        mean=fmean(scores),
        interval=(max(bounds[0], 0.0), min(bounds[1], 1.0)) if bounds else None,
        scores={name: fmean(m.scores[name] for m in measurements) for name in names},
        measurements=tuple(measurements),
    )


def _difference(first: Standing, second: Standing) -> Difference | None:
    of_first = {measured.seed: measured.score for measured in first.measurements}
    of_second = {measured.seed: measured.score for measured in second.measurements}
    seeds = sorted(of_first.keys() & of_second.keys())
    if not seeds:
        return None
    gains = [of_second[seed] - of_first[seed] for seed in seeds]
    return Difference(first, second, fmean(gains), mean_interval(gains), len(seeds))
