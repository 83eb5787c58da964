"""Words and pairs of words as numbers of buckets, and what each bucket is worth."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.byte_words import lower_case_word_hashes
from datachef.operators.text.words import document_of, lists_of, ngram_hashes, offsets_of

BUCKETS = 65_536
_BITS = np.uint64(16)

Weights = NDArray[np.float64]


def ngram_buckets(texts: pl.Series) -> pl.Series:
    """The buckets of the words and pairs of neighbouring words of each text, each once, in order;
    where no spaces stand every character is a word."""
    flat, offsets = lower_case_word_hashes(texts)
    keys = []
    for n in (1, 2):
        hashes, starts = ngram_hashes(flat, offsets, n)
        # Not the lowest bits: those of a run depend on few of its words.
        buckets = (hashes >> _BITS) % np.uint64(BUCKETS)
        keys.append((document_of(starts).astype(np.uint64) << _BITS) | buckets)
    distinct = np.unique(np.concatenate(keys))
    edges = np.arange(len(texts) + 1, dtype=np.uint64) << _BITS
    return lists_of(pl.Series(distinct.astype(np.uint16)), np.searchsorted(distinct, edges))


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
