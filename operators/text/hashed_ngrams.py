"""Words and pairs of words as numbers of buckets, and what each bucket is worth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.byte_words import lower_case_word_hashes
from datachef.operators.text.characters import blocks
from datachef.operators.text.words import (
    Hashes,
    Offsets,
    document_of,
    lists_of,
    ngram_hashes,
    offsets_of,
)

BUCKETS = 65_536
_BITS = np.uint32(16)

Weights = NDArray[np.float64]


def ngram_buckets(texts: pl.Series) -> pl.Series:
    """The buckets of the words and pairs of neighbouring words of each text, each once, in order;
    where no spaces stand every character is a word."""
    words, offsets = lower_case_word_hashes(texts)
    flat, lengths = [np.zeros(0, np.uint16)], [np.zeros(0, np.int64)]
    for first, last in _blocks(offsets):
        begin, end = offsets[first], offsets[last]
        some, counts = _distinct(words[begin:end], offsets[first : last + 1] - begin)
        flat.append(some)
        lengths.append(counts)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return lists_of(pl.Series(np.concatenate(flat)), starts)


def _blocks(offsets: Offsets) -> Iterator[tuple[int, int]]:
    """Runs of texts whose numbers have no more bits than buckets have."""
    for first, last in blocks(offsets):
        for start in range(first, last, BUCKETS):
            yield start, min(start + BUCKETS, last)


def _distinct(words: Hashes, offsets: Offsets) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """The buckets of texts of one block, and how many each has."""
    keys = []
    for n in (1, 2):
        hashes, starts = ngram_hashes(words, offsets, n)
        # Not the lowest bits: those of a run depend on few of its words.
        buckets = ((hashes >> np.uint64(16)) % np.uint64(BUCKETS)).astype(np.uint32)
        keys.append((document_of(starts).astype(np.uint32) << _BITS) | buckets)
    found = np.concatenate(keys)
    found.sort()  # np.unique takes many times as long
    found = found[np.diff(found, prepend=~found[:1]) != 0]
    counts = np.bincount((found >> _BITS).astype(np.int64), minlength=len(offsets) - 1)
    return found.astype(np.uint16), counts


def flat_buckets(buckets: pl.Series) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """All buckets in one array, and the offsets of the texts in it."""
    flat = buckets.explode(empty_as_null=False, keep_nulls=False).to_numpy()
    return flat, offsets_of(buckets.list.len())


def rarity(rows: pl.LazyFrame, column: str) -> Weights:
    """The weight of each bucket by the share of rows that have it: the inverse document frequency
    1 + ln((1 + rows) / (1 + rows with it)), as scikit-learn smooths it."""
    found, height = np.zeros(BUCKETS, np.int64), 0
    for part in rows.select(column).collect_batches():
        found += np.bincount(flat_buckets(part[column])[0], minlength=BUCKETS)
        height += part.height
    return 1.0 + np.log((1 + height) / (1.0 + found))
