"""Figures about predictions of held-out recipes, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.reward.proxy.arrays import Floats

_RESAMPLES = 1000
_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldOut:
    """Held-out recipes of one task: the mean measured score of each, its prediction, how many
    measurements it has and how many of them were inside their interval."""

    task: str
    measured: Floats
    predicted: Floats
    inside: Floats
    count: Floats

    def take(self, rows: NDArray[np.int64]) -> HeldOut:
        """Some of the recipes, by index."""
        return HeldOut(
            self.task,
            self.measured[rows],
            self.predicted[rows],
            self.inside[rows],
            self.count[rows],
        )


@dataclass(frozen=True)
class Validation:
    """How predictions of held-out recipes compare with what was measured.

    `rank_correlation` is Spearman's among the recipes of a task, `regret` the best measured score
    less the measured score of the recipe predicted best, in units of the scores; both are averaged
    over tasks. `coverage` is the share of measurements inside their interval, which was to be
    `nominal`. `by_task` has the rank correlation of each task.
    """

    rank_correlation: Estimate
    regret: Estimate
    coverage: Estimate
    nominal: float
    measurements: int
    recipes: int
    tasks: int
    by_task: dict[str, float]


def validation(
    tasks: Sequence[HeldOut], nominal: float, seed: int, *, resample_tasks: bool
) -> Validation:
    """The figures of at least one task. Recipes are resampled within their task; where tasks are
    themselves a sample, they are resampled before."""
    random = np.random.default_rng(seed)
    drawn = np.empty((_RESAMPLES, 3))
    for row in drawn:
        picked = list(tasks)
        if resample_tasks:
            picked = [tasks[i] for i in random.integers(len(tasks), size=len(tasks))]
        sizes = [len(task.measured) for task in picked]
        row[:] = _figures(
            [
                task.take(random.integers(size, size=size))
                for task, size in zip(picked, sizes, strict=True)
            ]
        )
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    correlation, regret, coverage = (
        Estimate(float(value), float(below), float(above))
        for value, below, above in zip(_figures(tasks), low, high, strict=True)
    )
    return Validation(
        rank_correlation=correlation,
        regret=regret,
        coverage=coverage,
        nominal=nominal,
        measurements=int(sum(task.count.sum() for task in tasks)),
        recipes=sum(len(task.measured) for task in tasks),
        tasks=len(tasks),
        by_task={task.task: rank_correlation(task.predicted, task.measured) for task in tasks},
    )


def rank_correlation(left: Floats, right: Floats) -> float:
    """Spearman's; 0 where one side does not vary."""
    try:
        from scipy.stats import rankdata
    except ImportError as error:
        raise MissingPackageError("scipy", extra("reward"), "the report of a proxy") from error
    x, y = rankdata(left), rankdata(right)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 0.0


def _figures(tasks: Sequence[HeldOut]) -> tuple[float, float, float]:
    correlations = [rank_correlation(task.predicted, task.measured) for task in tasks]
    regrets = [
        float(task.measured.max() - task.measured[int(np.argmax(task.predicted))]) for task in tasks
    ]
    inside = sum(float(task.inside.sum()) for task in tasks)
    count = sum(float(task.count.sum()) for task in tasks)
    return float(np.mean(correlations)), float(np.mean(regrets)), inside / count
