"""The rows that score best."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import Context, lowest, rows_dropped
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

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        values = self.values(summaries)
        order = -values if self.order == "descending" else values
        gone = np.ones(len(order), np.bool_)
        for own in self.compared(summaries, len(order)):
            gone[own[lowest(order[own], self.quota(len(own)))]] = False
        return rows_dropped(summaries, gone, "not_in_top")
