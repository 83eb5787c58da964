"""How often n-grams occur in each text, of words or of characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datachef.operators.text.characters import blocks
from datachef.operators.text.words import MULTIPLIER, Offsets

Counts = NDArray[np.int64]


def repeated_ngrams(
    flat: NDArray[Any], offsets: Offsets, n: int, bits: int = 64
) -> Iterator[tuple[int, Counts]]:
    """Of each document that is given by hashes or code points: how many n-grams it has, and how
    often those occur that occur more than once.

    N-grams are compared by hashes of 32 or 64 `bits`; with 32 counting takes half the time, and of
    ten thousand different n-grams one in a hundred times two are taken for one.
    """
    counts = np.maximum(np.diff(offsets) - (n - 1), 0).tolist()
    for first, last in blocks(offsets):
        begin = offsets[first]
        hashes = _rolling(flat[begin : offsets[last]].astype(f"uint{bits}"), n)
        # One by one, since a document fits into a faster cache.
        for document in range(first, last):
            start = offsets[document] - begin
            yield counts[document], _repeated(hashes[start : start + counts[document]])


def _repeated(hashes: NDArray[Any]) -> Counts:
    """How often those occur that occur more than once; leaves the hashes in order."""
    hashes.sort()
    same = np.zeros(len(hashes) + 1, np.bool_)
    same[1:-1] = hashes[1:] == hashes[:-1]
    edges = np.flatnonzero(same[1:] != same[:-1])
    return edges[1::2] - edges[::2] + 1


def _rolling(power: NDArray[Any], n: int) -> NDArray[Any]:
    """The hash of every run of `n` elements, made of runs of 1, 2, 4, ... elements, in as many bits
    as the elements have."""
    found, length, size = power[:0], 0, 1
    if len(power) < n:
        return found
    modulus = 1 << power.itemsize * 8
    while True:
        shift = power.dtype.type(pow(int(MULTIPLIER), size, modulus))
        if n & size:
            found = power if not length else found[: len(power) - length] * shift + power[length:]
            length += size
        if length == n:
            return found
        power = power[:-size] * shift + power[size:]
        size *= 2
