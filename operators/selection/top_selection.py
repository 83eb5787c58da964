"""The rows that score best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import CheckContext, Context, CorpusOperator, corpus_size, shortened
from datachef.operators.selection.sample import quota
from datachef.operators.selection.strata import NUMBERS, numeric


class TopSelection(CorpusOperator):
    """Keeps the rows with the highest or lowest values of a column: a share, or a fixed number.

    Rows without a value come last; among equal values, the row that comes first in the data.
    """

    selects: ClassVar[bool] = True

    not_for_policies: ClassVar[str] = "The column to go by is another one in every source."

    op: Literal["top_selection"] = "top_selection"
    by: str = Field(
        min_length=1, max_length=200, description="A numeric column, or a signal kept as a column."
    )
    share: float = Field(1.0, ge=0.001, le=1.0, description="Share of the rows to keep.")
    rows: int | None = corpus_size(
        ge=1,
        le=1_000_000_000,
        examples=[1_000, 10_000, 100_000],
        description="Largest number of rows to keep, whatever the share.",
    )
    order: Literal["descending", "ascending"] = Field(
        "descending", description="Whether the highest or the lowest values are best."
    )
    per_source: bool = Field(False, description="Select within each source by itself.")

    def reads(self) -> set[str]:
        return {self.by}

    def check(self, context: CheckContext) -> Iterable[tuple[str, str, str]]:
        if context.kinds.get(self.by) == "text":
            yield "by", f"the column {shortened(self.by)} holds text, not numbers", NUMBERS

    def reasons(self) -> tuple[str, ...]:
        return ("not_in_top",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        value = numeric(batch, self.by, self.op)
        source = ["source"] if self.per_source else []
        return batch.select("id", *source, value.alias("value"))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        descending = self.order == "descending"
        ranked = summaries.with_row_index("row").sort(
            "value", "row", descending=[descending, False], nulls_last=True
        )
        place, size = pl.int_range(pl.len()), pl.len()
        if self.per_source:
            place, size = place.over("source"), size.over("source")
        dropped = ranked.filter(place >= quota(self.share, self.rows, size)).sort("row")
        return dropped.select("id", pl.lit("not_in_top").alias("reason")).collect()
