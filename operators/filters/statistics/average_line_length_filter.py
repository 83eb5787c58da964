"""The average length of the lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import polars as pl

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.lines import AVERAGE_LINE, LINES


class AverageLineLengthFilter(RangeFilter):
    """Drops text whose lines are too short, or too long, on average.

    Source: `average_line_length_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033). The characters of the text, with what ends its lines, by the
    number of lines, blank ones included.
    """

    op: Literal["average_line_length_filter"] = "average_line_length_filter"
    quantity: ClassVar[str] = "average_line_length"

    min: float = threshold(
        10, ge=0, le=10_000, examples=[5, 10, 20, 40], description="Least average in characters."
    )
    max: float | None = threshold(
        None,
        ge=1,
        le=1_000_000,
        examples=[1_000, 10_000, 100_000],
        description="Greatest average in characters; no limit by default.",
    )

    def intermediates(self) -> Mapping[str, pl.Expr]:
        return {"_lines": LINES}

    def measurement(self) -> pl.Expr:
        return AVERAGE_LINE
