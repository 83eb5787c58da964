"""The rows that score best."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import Context
from datachef.operators.selection.sample import ShareSelection
from datachef.operators.selection.strata import SourceNumberOperator


class TopSelection(SourceNumberOperator, ShareSelection):
    """Keeps the rows with the highest or lowest values of a column: a share, or a fixed number.

    Rows without a value come last; among equal values, the row that comes first in the data.
    """

    op: Literal["top_selection"] = "top_selection"
    order: Literal["descending", "ascending"] = Field(
        "descending", description="Whether the highest or the lowest values are best."
    )

    def reasons(self) -> tuple[str, ...]:
        return ("not_in_top",)

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        descending = self.order == "descending"
        ranked = summaries.with_row_index("row").sort(
            "value", "row", descending=[descending, False], nulls_last=True
        )
        place, size = self.within(pl.int_range(pl.len())), self.within(pl.len())
        dropped = ranked.filter(place >= self.quota(size)).sort("row")
        return dropped.select("id", pl.lit("not_in_top").alias("reason")).collect()
