"""How often n-grams occur in each text, of words or of characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datachef.operators.text.characters import blocks
from datachef.operators.text.words import MULTIPLIER, Hashes, Offsets

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class NgramCounts:
    """N-grams of each document, and how many of them are different; then those that occur more than
    once in a document, document after document: its number, and how often they occur there."""

    total: Counts
    different: Counts
    document: Counts
    count: Counts


def ngram_counts(flat: NDArray[Any], offsets: Offsets, n: int) -> NgramCounts:
    """Counts the n-grams of documents that are given by hashes or code points."""
    total = np.maximum(np.diff(offsets) - (n - 1), 0)
    different = total.copy()
    documents, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first, last in blocks(offsets):
        begin = offsets[first]
        hashes = _rolling(flat[begin : offsets[last]].astype(np.uint64) * MULTIPLIER, n)
        # One by one, since a document fits into a faster cache.
        for document in range(first, last):
            start = offsets[document] - begin
            count = _repeated(hashes[start : start + total[document]])
            different[document] -= count.sum() - len(count)
            counts.append(count)
            documents.append(np.full(len(count), document))
    return NgramCounts(total, different, np.concatenate(documents), np.concatenate(counts))


def _repeated(hashes: Hashes) -> Counts:
    """How often those occur that occur more than once."""
    # Most share no place in a table with another: only the others have to be sorted.
    bits = (4 * len(hashes)).bit_length()
    places = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    others = hashes[np.bincount(places, minlength=1 << bits)[places] > 1]
    others.sort()
    new = np.flatnonzero(others[1:] != others[:-1]) + 1
    counts = np.diff(new, prepend=0, append=len(others))
    return counts[counts > 1]


def _rolling(power: Hashes, n: int) -> Hashes:
    """The hash of every run of `n` elements, made of runs of 1, 2, 4, ... elements."""
    found, length, size = power[:0], 0, 1
    if len(power) < n:
        return found
    while True:
        shift = np.uint64(pow(int(MULTIPLIER), size, 1 << 64))
        if n & size:
            found = power if not length else found[: len(power) - length] * shift + power[length:]
            length += size
        if length == n:
            return found
        power = power[:-size] * shift + power[size:]
        size *= 2
