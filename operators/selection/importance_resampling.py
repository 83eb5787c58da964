"""Rows drawn so that their words are those of a target (DSIR)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import Context, lowest, rows_dropped, sampling_priorities
from datachef.operators.selection.targeted import TargetedSelection
from datachef.operators.text.words import (
    UNSPACED,
    Hashes,
    lists_of,
    ngram_hashes,
    offsets_of,
    word_hashes,
)

# As nltk's `wordpunct_tokenize`, but that where no spaces stand every character is a word.
_WORD = rf"[{UNSPACED}]|[\w--[{UNSPACED}]]+|[^\w\s]+"
# Added to every share, so that a bucket that one side lacks has a logarithm.
_LEAST = 1e-8


class ImportanceResampling(TargetedSelection):
    """Draws rows whose words and pairs of words are those of the task's examples (DSIR).

    Source: Xie et al. 2023, https://arxiv.org/abs/2302.03169. Words and pairs of neighbouring words
    are hashed into buckets; a row's weight is the likelihood ratio of its buckets between the
    target and the whole corpus, and rows are drawn by their weights without replacement (Gumbel
    top-k). Texts are weighed as they are: what they leave out as too short, `length_filter` does.

    Long texts have the most extreme weights. A summary holds two bytes for each word and each pair:
    about the size of the text.
    """

    op: Literal["importance_resampling"] = "importance_resampling"
    ngram: int = Field(2, ge=1, le=3, description="Longest run of words that counts.")
    buckets: int = Field(10_000, ge=100, le=65_536, description="Buckets of hashed words.")

    def reasons(self) -> tuple[str, ...]:
        return ("not_resampled",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id", self._features(batch["text"]))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        corpus = np.zeros(self.buckets, np.int64)
        for part in summaries.select("features").collect_batches():
            corpus += self._counts(part["features"])
        ratio = np.log(self._target() + _LEAST) - np.log(_shares(corpus) + _LEAST)
        parts = summaries.select("features").collect_batches(maintain_order=True)
        found = [self._weights(part["features"], ratio) for part in parts]
        weight = np.concatenate([np.zeros(0), *found])
        chance = sampling_priorities(summaries, context.seed)
        gumbel = -np.log(-np.log((chance + 0.5) / 2.0**64))
        gone = ~lowest(-(weight + gumbel), self.quota(len(weight)))
        return rows_dropped(summaries, gone, "not_resampled")

    def _target(self) -> NDArray[np.float64]:
        return _shares(self._counts(self._features(self.examples())))

    def _features(self, text: pl.Series) -> pl.Series:
        """The bucket of every word, and then of every longer run of words, of each text."""
        words = text.fill_null("").str.to_lowercase().str.extract_all(_WORD)
        flat, offsets = word_hashes(words)
        runs = [ngram_hashes(flat, offsets, n) for n in range(1, self.ngram + 1)]
        lists = [lists_of(pl.Series(self._bucket(hashes)), starts) for hashes, starts in runs]
        frame = pl.DataFrame({f"n{n}": column for n, column in enumerate(lists)})
        return frame.select(pl.concat_list(pl.all()).alias("features")).to_series()

    def _bucket(self, hashes: Hashes) -> NDArray[np.uint16]:
        # The high bits: the low ones of a run depend on few of its words.
        return ((hashes >> np.uint64(16)) % np.uint64(self.buckets)).astype(np.uint16)

    def _counts(self, features: pl.Series) -> NDArray[np.int64]:
        flat = features.explode(empty_as_null=False, keep_nulls=False).to_numpy()
        return np.bincount(flat, minlength=self.buckets)

    def _weights(self, features: pl.Series, ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        """The logarithm of each row's weight."""
        flat = features.explode(empty_as_null=False, keep_nulls=False).to_numpy()
        lengths = features.list.len().to_numpy()
        filled = lengths > 0
        weights = np.full(len(features), -np.inf)  # without words a row resembles nothing
        if filled.any():
            starts = offsets_of(features.list.len())[:-1]
            weights[filled] = np.add.reduceat(ratio[flat], starts[filled])
        return weights


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts / max(int(counts.sum()), 1)
