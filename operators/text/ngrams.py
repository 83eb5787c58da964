"""Hashes of words and n-grams in flat arrays, with the offsets of documents, and sums over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Offsets = NDArray[np.int64]

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def offsets_of(lengths: pl.Series) -> Offsets:
    """Where each document begins in the flat array, and at the end where the last one stops."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths.fill_null(0).to_numpy(), out=offsets[1:])
    return offsets


def word_hashes(words: pl.Series) -> tuple[Hashes, Offsets]:
    """The hash of every word of a column of type list[str], and the offsets of its documents.

    Document `i` has the words `hashes[offsets[i]:offsets[i + 1]]`. The hashes are equal between
    processes and machines, though not between versions of polars.
    """
    flat = words.explode(empty_as_null=False, keep_nulls=False)
    return flat.hash().to_numpy(), offsets_of(words.list.len())


def ngram_hashes(flat: Hashes, offsets: Offsets, n: int) -> tuple[Hashes, Offsets]:
    """The hash of every run of `n` words within a document, and the offsets of the documents.

    A document of fewer than `n` words has none.
    """
    counts = np.maximum(np.diff(offsets) - (n - 1), 0)
    starts = np.zeros(len(offsets), np.int64)
    np.cumsum(counts, out=starts[1:])
    if n == 1 or starts[-1] == 0:
        return flat[: starts[-1]].copy(), starts
    size = len(flat) - (n - 1)
    rolling = flat[:size].copy()
    for shift in range(1, n):
        rolling *= MULTIPLIER
        rolling += flat[shift : shift + size]
    # The low bits of a product depend on low bits alone; this brings the high ones in.
    rolling ^= rolling >> np.uint64(32)
    inside = np.ones(len(flat), np.bool_)
    for back in range(1, n):
        inside[np.maximum(offsets[1:] - back, offsets[:-1])[np.diff(offsets) > 0]] = False
    return rolling[inside[:size]], starts


def document_of(offsets: Offsets) -> NDArray[np.int64]:
    """The number of the document to which each element of the flat array belongs."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def sums(values: NDArray[Any], offsets: Offsets) -> NDArray[np.int64]:
    """The sum of whole numbers or booleans over each document, 0 for one without elements."""
    running = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """`part / whole`, 0 where there is no whole."""
    return pl.when(whole > 0).then(part / whole).otherwise(0.0)
