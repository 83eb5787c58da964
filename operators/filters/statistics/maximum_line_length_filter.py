"""The length of the longest line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import polars as pl

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.lines import LINES, LONGEST_LINE


class MaximumLineLengthFilter(RangeFilter):
    """Drops text whose longest line is too short, or too long.

    Source: `maximum_line_length_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033).
    """

    op: Literal["maximum_line_length_filter"] = "maximum_line_length_filter"
    quantity: ClassVar[str] = "maximum_line_length"

    min: int = threshold(
        10, ge=0, le=10_000, examples=[5, 10, 20, 50], description="Least length in characters."
    )
    max: int | None = threshold(
        None,
        ge=1,
        le=10_000_000,
        examples=[1_000, 10_000, 100_000],
        description="Greatest length in characters; no limit by default.",
    )

    def intermediates(self) -> Mapping[str, pl.Expr]:
        return {"_lines": LINES}

    def measurement(self) -> pl.Expr:
        return LONGEST_LINE
