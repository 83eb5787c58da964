"""Cross-validation of the proxy, by recipe and by task, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core.errors import DatachefError
from datachef.reward.config import reward_package
from datachef.reward.proxy.encoding import Floats
from datachef.reward.proxy.folds import Mask, group_numbers, split, train_test_masks
from datachef.reward.proxy.proxy import FEWEST_MEASUREMENTS, FEWEST_RECIPES, Prediction, Proxy
from datachef.reward.proxy.transfer import FEWEST_TASKS, TransferPrior, rank_in_task

_RESAMPLES = 1000
_LEVEL = 0.95


@dataclass(frozen=True)
class BootstrapEstimate:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldOutTask:
    """Held-out recipes of one task: the mean measured score of each, its prediction, how many
    measurements it has and how many of them were inside their interval."""

    task: str
    measured: Floats
    predicted: Floats
    inside: Floats
    count: Floats

    def take(self, rows: NDArray[np.int64]) -> HeldOutTask:
        """Some of the recipes, by index."""
        return HeldOutTask(
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

    rank_correlation: BootstrapEstimate
    regret: BootstrapEstimate
    coverage: BootstrapEstimate
    nominal: float
    measurements: int
    recipes: int
    tasks: int
    by_task: dict[str, float]


def validation(
    tasks: Sequence[HeldOutTask], nominal: float, seed: int, *, resample_tasks: bool
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
        row[:] = _statistics(
            [
                task.take(random.integers(size, size=size))
                for task, size in zip(picked, sizes, strict=True)
            ]
        )
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    correlation, regret, coverage = (
        BootstrapEstimate(float(value), float(below), float(above))
        for value, below, above in zip(_statistics(tasks), low, high, strict=True)
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
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(reward_package("scipy.stats").spearmanr(left, right).statistic)


def _statistics(tasks: Sequence[HeldOutTask]) -> tuple[float, float, float]:
    correlations = [rank_correlation(task.predicted, task.measured) for task in tasks]
    regrets = [
        float(task.measured.max() - task.measured[int(np.argmax(task.predicted))]) for task in tasks
    ]
    inside = sum(float(task.inside.sum()) for task in tasks)
    count = sum(float(task.count.sum()) for task in tasks)
    return float(np.mean(correlations)), float(np.mean(regrets)), inside / count


# Above this many recipes of a task, folds take the place of leaving out one recipe at a time.
_MOST_LEFT_OUT = 100
_FOLDS = 20
# A task is ranked only if it has this many recipes.
_FEWEST_RANKED = 3

Names = NDArray[np.str_]


@dataclass(frozen=True)
class CrossValidation:
    """`by_recipe` is about recipes that were not measured, of tasks that were; `by_task` about
    tasks of which nothing was measured. None where the measurements are too few for it."""

    by_recipe: Validation | None
    by_task: Validation | None

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def cross_validate(
    features: pl.DataFrame,
    scores: NDArray[np.float64],
    recipes: Sequence[str],
    tasks: Sequence[str],
    *,
    seed: int = 0,
    coverage: float = 0.9,
    by: Collection[str] = ("recipe", "task"),
    teaching: Sequence[bool] | None = None,
) -> CrossValidation:
    """Measures proxies on measurements that they have not learned from, `by` recipe, task or both.

    There is a row of features, a score, a recipe and a task per measurement. By recipe: for every
    task a proxy is fitted without one recipe at a time, or without a twentieth of them where there
    are more than 100, to those that are `teaching`, by default all. By task: the prior of a task
    (`TransferPrior`) is learned from all other tasks; its coverage is that of ranks within the
    task. Raises `DatachefError` where lengths differ.
    """
    scores = np.asarray(scores, np.float64)
    taught = np.ones(len(scores), np.bool_) if teaching is None else np.asarray(teaching, np.bool_)
    if not features.height == len(scores) == len(recipes) == len(tasks) == len(taught):
        raise DatachefError(
            f"{features.height} rows of features, {len(scores)} scores, {len(recipes)} recipes, "
            f"{len(tasks)} tasks and {len(taught)} that may teach do not belong together"
        )
    names, homes = np.asarray(recipes, np.str_), np.asarray(tasks, np.str_)
    data = _Measurements(features, scores, names, homes, taught, seed, coverage)
    known = data.by_recipe() if "recipe" in by else []
    new = data.by_task() if "task" in by else []
    return CrossValidation(
        by_recipe=validation(known, coverage, seed, resample_tasks=False) if known else None,
        by_task=validation(new, coverage, seed, resample_tasks=True) if new else None,
    )


@dataclass(frozen=True)
class _Measurements:
    features: pl.DataFrame
    scores: Floats
    recipes: Names
    tasks: Names
    teaching: Mask
    seed: int
    coverage: float

    def by_recipe(self) -> list[HeldOutTask]:
        """Every task that can spare a recipe."""
        results = []
        for task in np.unique(self.tasks):
            rows = np.flatnonzero(self.tasks == task)
            groups = group_numbers(list(self.recipes[rows]))
            recipes = int(groups.max()) + 1
            masks = split(groups, recipes if recipes <= _MOST_LEFT_OUT else _FOLDS, self.seed)
            taught = self.teaching[rows]
            if not all(self._enough(rows[taught & ~mask]) for mask in masks):
                continue
            predicted: dict[int, Prediction] = {}
            for train, test in train_test_masks(masks):
                found = self._predict(rows[taught & train], rows[test])
                predicted.update(zip(rows[test].tolist(), found, strict=True))
            ordered = [predicted[row] for row in rows.tolist()]
            results.append(self._compare(str(task), rows, ordered, self.scores))
        return results

    def by_task(self) -> list[HeldOutTask]:
        """Every task that others can teach about."""
        ranks = rank_in_task(self.scores, list(self.tasks))
        results = []
        for task in np.unique(self.tasks):
            rows, others = np.flatnonzero(self.tasks == task), np.flatnonzero(self.tasks != task)
            ranked = len(np.unique(self.recipes[rows])) >= _FEWEST_RANKED
            if ranked and len(np.unique(self.tasks[others])) >= FEWEST_TASKS:
                prior = TransferPrior.fit(
                    self.features[others], self.scores[others], list(self.tasks[others]),
                    self.coverage,
                )  # fmt: skip
                predicted = prior.predict(self.features[rows])
                results.append(self._compare(str(task), rows, predicted, ranks))
        return results

    def _enough(self, rows: NDArray[np.int64]) -> bool:
        return len(rows) >= FEWEST_MEASUREMENTS and len(set(self._groups(rows))) >= FEWEST_RECIPES

    def _groups(self, rows: NDArray[np.int64]) -> list[str]:
        """A recipe is another one in every task."""
        return [f"{self.tasks[row]}\t{self.recipes[row]}" for row in rows]

    def _predict(self, train: NDArray[np.int64], test: NDArray[np.int64]) -> list[Prediction]:
        proxy = Proxy.fit(
            self.features[train],
            self.scores[train],
            groups=self._groups(train),
            seed=self.seed,
            coverage=self.coverage,
        )
        return proxy.predict(self.features[test])

    def _compare(
        self, task: str, rows: NDArray[np.int64], predicted: list[Prediction], scores: Floats
    ) -> HeldOutTask:
        """One entry per recipe: its repeated measurements are averaged. `scores` are what was
        predicted; what was measured stays in its own units."""
        groups = group_numbers(list(self.recipes[rows]))
        count = np.bincount(groups).astype(np.float64)
        inside = [p.low <= scores[row] <= p.high for p, row in zip(predicted, rows, strict=True)]
        values = np.array([p.value for p in predicted])
        return HeldOutTask(
            task,
            measured=np.bincount(groups, self.scores[rows]) / count,
            predicted=np.bincount(groups, values) / count,
            inside=np.bincount(groups, np.asarray(inside, np.float64)).astype(np.float64),
            count=count,
        )
