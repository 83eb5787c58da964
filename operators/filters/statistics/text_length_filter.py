"""The number of characters."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter


class TextLengthFilter(RangeFilter):
    """Drops text with too few or too many characters.

    Source: `text_length_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033). `length_filter` bounds words and lines as well, for which it
    splits the text.
    """

    op: Literal["text_length_filter"] = "text_length_filter"
    quantity: ClassVar[str] = "text_length"

    min: int = threshold(
        10,
        ge=0,
        le=1_000_000,
        examples=[10, 50, 100, 200],
        description="Least number of characters.",
    )
    max: int | None = threshold(
        None,
        ge=1,
        le=1_000_000_000,
        examples=[2_000, 10_000, 100_000],
        description="Greatest number; no limit by default.",
    )

    def measurement(self) -> pl.Expr:
        return pl.col("text").fill_null("").str.len_chars().cast(pl.Int64)
