"""The share of letters and digits."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.characters import share_of


class AlphanumericFilter(RangeFilter):
    """Drops text with too small or too great a share of letters and digits.

    Source: `alphanumeric_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033). Letters and digits of every script count; the vowel signs of
    Indic scripts, Arabic and Hebrew are marks and do not.
    """

    op: Literal["alphanumeric_filter"] = "alphanumeric_filter"
    quantity: ClassVar[str] = "alphanumeric_share"

    min: float = threshold(
        0.25,
        ge=0,
        le=1,
        examples=[0.25, 0.5, 0.6, 0.7],
        description="Least share of the characters.",
    )
    max: float = threshold(
        1, ge=0, le=1, examples=[0.9, 0.95, 1], description="Greatest share of the characters."
    )

    def measurement(self) -> pl.Expr:
        return share_of(r"\p{L}\p{N}")
