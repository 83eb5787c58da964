"""Folds of measurements, by group: what is learned from, and what is held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from datachef.reward.proxy.encoding import Floats

Mask = NDArray[np.bool_]


def group_numbers(groups: Sequence[str]) -> NDArray[np.int64]:
    """The index of each row's group among the sorted groups."""
    return np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def split(groups: NDArray[np.int64], folds: int, seed: int) -> list[Mask]:
    """Which rows are held out, fold by fold; every row is held out once.

    `groups` numbers the group of each row from 0; there are at most as many folds as groups.
    """
    count = int(groups.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    fold_of_group = np.empty(count, np.int64)
    fold_of_group[order] = np.arange(count) % min(folds, count)
    return [fold_of_group[groups] == fold for fold in range(min(folds, count))]


def train_test_masks(masks: Sequence[Mask]) -> Iterator[tuple[Mask, Mask]]:
    """(rows to learn from, rows held out) of each fold."""
    for mask in masks:
        yield ~mask, mask


def first_unless_better(missed: Floats) -> int:
    """The column of least error, of squared errors with a row per held-out measurement and a column
    per candidate: the first, unless the gain exceeds its standard error."""
    best = int(missed.mean(axis=0).argmin())
    gain = missed[:, 0] - missed[:, best]
    doubt = float(gain.std()) / len(gain) ** 0.5
    return best if float(gain.mean()) > doubt else 0
