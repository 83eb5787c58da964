"""How often n-grams occur in each text, of words or of characters."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datachef.operators.text.characters import blocks
from datachef.operators.text.words import Offsets, ngram_hashes

Counts = NDArray[np.int64]


def repeated_ngrams(
    flat: NDArray[Any], offsets: Offsets, n: int
) -> tuple[Counts, NDArray[np.int64], Counts]:
    """Of documents that are given by hashes or code points: how many n-grams each has; and of every
    n-gram that occurs more than once in its document the number of that, in order, and how often it
    occurs.

    N-grams are compared by hashes of 32 bits where the elements have as many; that takes half the
    time, and of ten thousand different n-grams one in a hundred times two are taken for one.
    """
    documents, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first, last in blocks(offsets):
        begin = offsets[first]
        hashes, starts = ngram_hashes(
            flat[begin : offsets[last]], offsets[first : last + 1] - begin, n
        )
        for start, end in pairwise(starts.tolist()):
            hashes[start:end].sort()  # one by one, since a document fits into a faster cache
        same = np.zeros(len(hashes) + 1, np.bool_)
        same[1:-1] = hashes[1:] == hashes[:-1]
        same[starts] = False
        edges = np.flatnonzero(same[1:] != same[:-1])
        documents.append(np.searchsorted(starts, edges[::2], side="right") - 1 + first)
        counts.append(edges[1::2] - edges[::2] + 1)
    number = np.maximum(np.diff(offsets) - (n - 1), 0)
    return number, np.concatenate(documents), np.concatenate(counts)
