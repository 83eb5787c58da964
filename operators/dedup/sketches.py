"""How similar the n-grams of two rows are, measured on a small part of them."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.words import MULTIPLIER, Hashes, Offsets, lists_of

# The n-grams that a sketch holds at most, on average; a row with fewer has all of them in it.
SIZE = 256
_BITS = np.uint64(32)
# Elements that are sorted at once where pairs are compared: 64 MB.
_CHUNK = 4_000_000

Rows = NDArray[np.int64]


def sketches(shingles: Hashes, offsets: Offsets) -> list[pl.Series]:
    """Of each row the n-grams with a small hash: the smaller, the more the row has.

    FracMinHash (Irber et al. 2022, https://doi.org/10.1101/2022.01.11.475838): what two rows have
    in common below the lower of their bounds is a fair sample of what they have in common, so
    Jaccard similarity and containment can be read off; both are exact for rows of up to `SIZE`
    n-grams, and have a standard error of about .03 beyond. `level` is the number of halvings.
    """
    counts = np.diff(offsets)
    level = np.ceil(np.log2(np.maximum(counts, 1) / SIZE)).clip(0, 31).astype(np.uint8)
    hashes = ((shingles * MULTIPLIER) >> _BITS).astype(np.uint32)
    bound = _bounds(level)
    kept = np.flatnonzero(hashes <= np.repeat(bound, counts))
    hashes = hashes[kept]
    starts = np.searchsorted(kept, offsets)
    large = np.flatnonzero(np.diff(starts) > 2 * SIZE)
    if len(large):  # the same few n-grams over and over
        hashes, starts = _distinct(hashes, starts)
    sketch = lists_of(pl.Series(hashes), starts).alias("sketch")
    return [pl.Series("level", level), sketch]


class Similarity:
    """Compares rows by their sketches, `rows` being a frame of `level` and `sketch`."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._level = rows["level"].to_numpy()
        flat = rows["sketch"].explode(empty_as_null=False, keep_nulls=False).to_numpy()
        starts = np.zeros(rows.height + 1, np.int64)
        np.cumsum(rows["sketch"].list.len().fill_null(0).to_numpy(), out=starts[1:])
        self._flat, self._starts = _distinct(flat, starts)

    def measure(self, left: Rows, right: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The Jaccard similarity of each pair, and the share of `right` that `left` contains."""
        sizes = np.diff(self._starts)
        chunk = np.cumsum(sizes[left] + sizes[right]) // _CHUNK
        cuts = np.flatnonzero(np.diff(chunk)) + 1
        parts = zip(np.split(left, cuts), np.split(right, cuts), strict=True)
        found = [self._measured(a, b) for a, b in parts]
        return np.concatenate([j for j, _ in found]), np.concatenate([c for _, c in found])

    def _measured(self, left: Rows, right: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        bound = _bounds(np.maximum(self._level[left], self._level[right]))
        mine, theirs = self._below(left, bound), self._below(right, bound)
        both = np.sort(np.concatenate([mine, theirs]))
        common = _per_pair(both[1:][both[1:] == both[:-1]], len(left))
        a, b = _per_pair(mine, len(left)), _per_pair(theirs, len(left))
        return common / np.maximum(a + b - common, 1), common / np.maximum(b, 1)

    def _below(self, rows: Rows, bound: NDArray[np.uint32]) -> Hashes:
        """The hashes of each row up to its bound, with the number of the pair in the high bits."""
        sizes = self._starts[rows + 1] - self._starts[rows]
        pair = np.repeat(np.arange(len(rows)), sizes)
        first = np.cumsum(sizes) - sizes
        hashes = self._flat[np.arange(len(pair)) - first[pair] + self._starts[rows][pair]]
        below = hashes <= bound[pair]
        keys: Hashes = (pair[below].astype(np.uint64) << _BITS) | hashes[below]
        return keys


def _per_pair(keys: Hashes, pairs: int) -> NDArray[np.int64]:
    return np.bincount((keys >> _BITS).astype(np.int64), minlength=pairs)


def _bounds(level: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.uint32(0xFFFFFFFF) >> level.astype(np.uint32)


def _distinct(flat: NDArray[np.uint32], starts: Offsets) -> tuple[NDArray[np.uint32], Offsets]:
    """The hashes of each row, each once and in order."""
    row = np.repeat(np.arange(len(starts) - 1, dtype=np.uint64), np.diff(starts))
    ordered = np.sort((row << _BITS) | flat)  # np.unique takes twice as long
    keys = ordered[np.diff(ordered, prepend=~ordered[:1]) != 0]
    ends = np.searchsorted(keys, np.arange(len(starts), dtype=np.uint64) << _BITS)
    return keys.astype(np.uint32), ends
