"""What measurements of other tasks say about recipes for a task of which nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core.errors import DatachefError
from datachef.reward.proxy.encoding import (
    SIGNS,
    FittedState,
    Floats,
    Vector,
    feature_values,
    spread_or_one,
)
from datachef.reward.proxy.folds import group_numbers
from datachef.reward.proxy.proxy import Prediction
from datachef.reward.proxy.signed import bounded, near_equal_weights

FEWEST_TASKS = 2


class TransferPrior(FittedState):
    """Weights of features that mean the same for every task, learned within tasks.

    Tasks differ in the level of scores and of features, so that neither is learned: each counts as
    its difference from the mean of its task, and scores as ranks. A prediction is where a recipe
    stands among those of its task, from 0 to 1. `signs` has the features that it reads.
    """

    signs: dict[str, float]
    centre: Vector
    scale: Vector
    weights: Vector
    error: float
    half_width: float

    @classmethod
    def fit(
        cls,
        features: pl.DataFrame,
        scores: Floats,
        tasks: Sequence[str],
        coverage: float = 0.9,
        signs: Mapping[str, float] = SIGNS,
    ) -> TransferPrior:
        """Learns from a row of features and a score per measurement. The interval comes from tasks
        left out one at a time. Raises `DatachefError` for fewer than two tasks."""
        numbers = group_numbers(tasks)
        count = int(numbers.max(initial=-1)) + 1
        if count < FEWEST_TASKS:
            raise DatachefError("a prior is learned from measurements of at least two tasks")
        values, ranks = _signed(features, signs), rank_in_task(scores, tasks)
        missed = np.empty(len(ranks))
        for task in range(count):
            own = numbers == task
            taught = cls._fit(values[~own], ranks[~own], numbers[~own], signs)
            missed[own] = np.abs(taught._stands(values[own]) - ranks[own])
        error = float(np.sqrt((missed**2).mean()))
        return cls._fit(values, ranks, numbers, signs).model_copy(
            update={"error": error, "half_width": float(np.quantile(missed, coverage))}
        )

    @classmethod
    def _fit(
        cls,
        values: Floats,
        ranks: Floats,
        numbers: NDArray[np.int64],
        signs: Mapping[str, float],
    ) -> TransferPrior:
        _, own = np.unique(numbers, return_inverse=True)
        known = ~np.isnan(values)
        sums = np.zeros((int(own.max()) + 1, values.shape[1]))
        counts = sums.copy()
        np.add.at(sums, own, np.nan_to_num(values))
        np.add.at(counts, own, known)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), 0.0)
        within = np.where(known, values - means[own], 0.0)
        scale = spread_or_one(within)
        weights = near_equal_weights(bounded(within / scale), ranks - 0.5)
        centre = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
        return cls(
            signs=dict(signs),
            centre=centre,
            scale=scale,
            weights=weights,
            error=0.0,
            half_width=0.0,
        )

    def predict(self, features: pl.DataFrame) -> list[Prediction]:
        """One prediction per row, always marked as off the support."""
        values = _signed(features, self.signs)
        return [
            Prediction(
                value=float(value),
                uncertainty=self.error,
                low=float(value) - self.half_width,
                high=float(value) + self.half_width,
                off_support=True,
                parts={"other_tasks": float(value)},
            )
            for value in self._stands(values)
        ]

    def _stands(self, values: Floats) -> Floats:
        # Without bounds: where the middle of another task lies is not known.
        distance = np.nan_to_num((values - self.centre) / self.scale) @ self.weights
        stands: Floats = 1 / (1 + np.exp(-4 * distance))
        return stands


def rank_in_task(scores: Floats, tasks: Sequence[str]) -> Floats:
    """The share of the measurements of its task that are below a score, and half of its equals."""
    numbers = group_numbers(tasks)
    ranks = np.empty(len(scores))
    for task in np.unique(numbers):
        own = scores[numbers == task]
        below = (own[:, None] > own).mean(axis=1) + (own[:, None] == own).mean(axis=1) / 2
        ranks[numbers == task] = below
    return ranks


def _signed(features: pl.DataFrame, signs: Mapping[str, float]) -> Floats:
    signed: Floats = feature_values(features, list(signs)) * np.array(list(signs.values()))
    return signed
