"""Hashed word n-grams: how varied a corpus is, and how close it is to the task's examples.

Unigrams and bigrams of the lower-case words, hashed into buckets, as in DSIR (Xie et al. 2023,
https://arxiv.org/abs/2302.03169).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

BUCKETS = 2**14
WORDS_PER_ROW = 200

_WORD = r"[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{N}]"


def gram_counts(texts: pl.DataFrame) -> csr_matrix:
    """Counts of n-grams per row: shape (rows, `BUCKETS`)."""
    whole = pl.concat_str("question", "answer", separator="\n").str.to_lowercase()
    words = texts.select(whole.str.extract_all(_WORD).list.head(WORDS_PER_ROW).alias("words"))
    flat = words.with_row_index("row").explode("words").drop_nulls()
    row = flat["row"].to_numpy().astype(np.int64)
    word = flat["words"].hash(seed=1).to_numpy().astype(np.uint64)
    pairs = (word[:-1] * np.uint64(0x9E3779B97F4A7C15)) ^ word[1:]
    same = row[:-1] == row[1:]
    rows = np.concatenate([row, row[:-1][same]])
    buckets = np.concatenate([word, _mixed(pairs[same])]) % np.uint64(BUCKETS)
    ones = np.ones(len(rows), np.float32)
    shape = (texts.height, BUCKETS)
    return csr_matrix((ones, (rows, buckets.astype(np.int64))), shape=shape)


def entropy(counts: NDArray[np.float64]) -> float:
    """Shannon entropy of a distribution of counts in bits."""
    total = counts.sum()
    if total <= 0:
        return 0.0
    shares = counts[counts > 0] / total
    return abs(float((shares * np.log2(shares)).sum()))


def similarity(counts: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    """Cosine of two distributions of counts, and the divergence KL(target | counts) in bits.

    The counts are smoothed by one part in a thousand of a uniform distribution.
    """
    if counts.sum() <= 0 or target.sum() <= 0:
        return 0.0, 20.0
    p, q = target / target.sum(), counts / counts.sum()
    cosine = float(p @ q / np.sqrt((p @ p) * (q @ q)))
    smooth = 0.999 * q + 0.001 / len(q)
    there = p > 0
    return cosine, float((p[there] * np.log2(p[there] / smooth[there])).sum())


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return values ^ (values >> np.uint64(29))
