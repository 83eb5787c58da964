"""A random part of every group of rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from datachef.core import (
    CheckContext,
    Context,
    RunError,
    rows_dropped,
    sampling_priorities,
)
from datachef.operators.selection.sample import ShareSelection
from datachef.operators.selection.strata import (
    NUMBERS,
    allocated,
    not_numbers,
    numeric,
    quantile_bins,
)

# These every row has, and in every source they hold text.
TEXT_COLUMNS = ("id", "source", "text")


class StratifiedSample(ShareSelection):
    """Keeps a random share, or a fixed number, of the rows, drawn from each group of them.

    Groups are the values of a column (a topic, a language, the source) or, with `bins`, ranges of a
    number that hold as many rows each. `proportional` keeps the share of each group, `equal` takes
    as many rows of each, `square_root` something in between; what a small group cannot give, the
    others do. Rows without a value are a group of their own. The rows of a group are drawn as by
    `sample`.
    """

    bytes_per_row: ClassVar[int] = 80

    op: Literal["stratified_sample"] = "stratified_sample"
    by: str = Field(
        "source", min_length=1, max_length=200, description="The column that says the group."
    )
    bins: int | None = Field(
        None,
        ge=2,
        le=1_000,
        description="Number of groups of equal size into which a numeric column is cut.",
    )
    allocation: Literal["proportional", "square_root", "equal"] = Field(
        "proportional", description="How many rows a group gives: by its size, its root, or alike."
    )

    @model_validator(mode="after")
    def _numbers_in_bins(self) -> StratifiedSample:
        if self.bins and self.by in TEXT_COLUMNS:
            raise ValueError(f"bins cut a column of numbers, and {self.by} holds text; {NUMBERS}")
        return self

    def reads(self) -> set[str]:
        return {self.by}

    def check(self, context: CheckContext) -> Iterable[tuple[str, str, str]]:
        return not_numbers(context, self.by) if self.bins else ()

    def reasons(self) -> tuple[str, ...]:
        return ("not_sampled",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        dtype = batch.schema[self.by]
        if self.bins or dtype.is_numeric():
            value = numeric(batch, self.by, self.op)
        elif dtype.is_nested():
            raise RunError(
                f"stratified_sample by {self.by}: the column holds {dtype}, not single values",
                hint="name a column of text or numbers",
            )
        else:
            value = pl.col(self.by)
        if not self.bins:  # a column may be of another type in another batch
            value = value.cast(pl.String)
        return batch.select("id", value.alias("value"))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        value = pl.col("value")
        group = quantile_bins(value, self.bins) if self.bins else value
        rows = summaries.select(group.alias("group")).collect()
        sizes = rows.group_by("group").len("size").sort("group")
        wanted = self.quota(rows.height)
        held = sizes["size"].cast(pl.Int64).to_numpy()
        weights = {
            "proportional": held.astype(np.float64),
            "square_root": np.sqrt(held),
            "equal": np.ones(len(held)),
        }[self.allocation]
        quotas = sizes.with_columns(pl.Series("quota", allocated(held, weights, wanted)))
        order = rows.with_columns(
            pl.Series("priority", sampling_priorities(summaries, context.seed))
        ).join(quotas, on="group", how="left", nulls_equal=True, maintain_order="left")
        place = pl.col("priority").rank("ordinal").over("group")
        gone = order.select(place > pl.col("quota")).to_series().to_numpy()
        return rows_dropped(summaries, gone, "not_sampled")
