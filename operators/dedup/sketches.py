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
# N-grams that are looked at together where sketches are made.
_PART = 1 << 16

Rows = NDArray[np.int64]


def sketches(shingles: Hashes, offsets: Offsets) -> list[pl.Series]:
    """Of each row the n-grams with a small hash: the smaller, the more the row has.

    FracMinHash (Irber et al. 2022, https://doi.org/10.1101/2022.01.11.475838): what two rows have
    in common below the lower of their bounds is a fair sample of what they have in common, so
    Jaccard similarity and containment can be read off; both are exact for rows of up to `SIZE`
    n-grams, and have a standard error of about .03 beyond. `level` is the number of halvings.
    """
    level = _level(np.diff(offsets))
    kept, hashes = _small(shingles, offsets, level)
    starts = np.searchsorted(kept, offsets)
    found = np.diff(starts)
    # The same few n-grams over and over, of which too many are small or too few.
    odd = np.flatnonzero((level > 0) & ((found > 2 * SIZE) | (found < SIZE // 4)))
    if len(odd):
        pieces = np.split(hashes, starts[1:-1])
        for row in odd:
            distinct = np.unique(_hashes(shingles[offsets[row] : offsets[row + 1]]))
            level[row] = _level(np.array([len(distinct)]))[0]
            pieces[row] = distinct[distinct <= _bounds(level[row : row + 1])]
        hashes = np.concatenate(pieces)
        starts = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    sketch = lists_of(pl.Series(hashes), starts).alias("sketch")
    return [pl.Series("level", level), sketch]


def _small(
    shingles: Hashes, offsets: Offsets, level: NDArray[np.uint8]
) -> tuple[Rows, NDArray[np.uint32]]:
    """The places of n-grams with hashes up to the bound of their row, and these hashes.

    In parts that stay in the processor's cache, which takes a third of the time.
    """
    bound = _bounds(level)
    places, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for start in range(0, len(shingles), _PART):
        stop = min(start + _PART, len(shingles))
        first, last = np.searchsorted(offsets, [start, stop - 1], side="right") - 1
        edges = offsets[first : last + 2].clip(start, stop)
        some = _hashes(shingles[start:stop])
        kept = np.flatnonzero(some <= np.repeat(bound[first : last + 1], np.diff(edges)))
        places.append(kept + start)
        hashes.append(some[kept])
    return np.concatenate(places), np.concatenate(hashes)


def _hashes(shingles: Hashes) -> NDArray[np.uint32]:
    return ((shingles * MULTIPLIER) >> _BITS).astype(np.uint32)


def _level(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """How often the range of hashes is halved until about `SIZE` of `counts` are in it at most."""
    return np.ceil(np.log2(np.maximum(counts, 1) / SIZE)).clip(0, 31).astype(np.uint8)


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
