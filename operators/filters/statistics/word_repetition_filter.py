"""The share of n-grams of words that come back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.ngrams import repeated_ngrams
from datachef.operators.text.words import PLAIN_WORDS, word_hashes


def repetition(words: pl.Series, n: int) -> pl.Series:
    """The share of n-grams that occur more than once, for each text; 0 where there are none."""
    total, document, counts = repeated_ngrams(*word_hashes(words), n)
    repeated = np.bincount(document, counts, minlength=len(words))
    return pl.Series(words.name, repeated / np.maximum(total, 1), dtype=pl.Float64)


@lru_cache(maxsize=64)  # so that equal parameters share one expression
def _repetition(n: int) -> pl.Expr:
    return pl.col("_plain_words").map_batches(
        partial(repetition, n=n), return_dtype=pl.Float64, is_elementwise=True
    )


class WordRepetitionFilter(RangeFilter):
    """Drops text in which the same runs of words come back again and again.

    Source: `word_repetition_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033), after the filters of ROOTS (Laurençon et al. 2022,
    https://arxiv.org/abs/2303.03915). The share of n-grams of words that occur more than once.
    Words stand between spaces and are compared without case and without the marks around them; in
    scripts without spaces every character is one.
    """

    op: Literal["word_repetition_filter"] = "word_repetition_filter"
    quantity: ClassVar[str] = "word_repetition"

    ngram: int = Field(10, ge=1, le=100, description="Words per n-gram.")
    min: float = threshold(0, ge=0, le=1, examples=[0], description="Least share of the n-grams.")
    max: float = threshold(
        0.5, ge=0, le=1, examples=[0.1, 0.2, 0.3, 0.5], description="Greatest share of the n-grams."
    )

    def intermediates(self) -> Mapping[str, pl.Expr]:
        return {"_plain_words": PLAIN_WORDS}

    def measurement(self) -> pl.Expr:
        return _repetition(self.ngram)
