"""The number of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import polars as pl

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.words import PLAIN_WORDS


class WordCountFilter(RangeFilter):
    """Drops text with too few or too many words.

    Source: `words_num_filter` of Data-Juicer (Chen et al. 2024, https://arxiv.org/abs/2309.02033).
    Words stand between spaces and have a letter; in scripts without spaces every character is one.
    `length_filter` counts marks of punctuation and numbers as well.
    """

    op: Literal["word_count_filter"] = "word_count_filter"
    quantity: ClassVar[str] = "word_count"

    min: int = threshold(
        10, ge=0, le=100_000, examples=[5, 10, 20, 50], description="Least number of words."
    )
    max: int | None = threshold(
        None,
        ge=1,
        le=100_000_000,
        examples=[500, 2_000, 10_000],
        description="Greatest number of words; no limit by default.",
    )

    def intermediates(self) -> Mapping[str, pl.Expr]:
        return {"_plain_words": PLAIN_WORDS}

    def measurement(self) -> pl.Expr:
        return pl.col("_plain_words").list.len().cast(pl.Int64)
