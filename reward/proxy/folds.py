"""Folds that keep the measurements of one recipe together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def group_numbers(groups: Sequence[str]) -> NDArray[np.int64]:
    """The place of each row's group among the sorted groups."""
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


def held_out(masks: Sequence[Mask]) -> Iterator[tuple[Mask, Mask]]:
    """(rows to learn from, rows held out) of each fold."""
    for mask in masks:
        yield ~mask, mask
