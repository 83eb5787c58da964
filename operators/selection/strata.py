"""Groups of rows by the value of a column, or by where a number lies among all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import CheckContext, CorpusOperator, RunError, shortened

NUMBERS = "name a numeric column, or a signal that a filter keeps (keep_signals: true)"


class NumberOperator(CorpusOperator):
    """A corpus operator that goes by the numbers in a column."""

    not_for_policies: ClassVar[str] = "The column to go by is another one in every source."

    by: str = Field(
        min_length=1, max_length=200, description="A numeric column, or a signal kept as a column."
    )

    def reads(self) -> set[str]:
        return {self.by}

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        yield from not_numbers(context, self.by)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id", numeric(batch, self.by, self.op).alias("value"))

    def values(self, summaries: pl.LazyFrame) -> NDArray[np.float64]:
        """The number of each row; NaN where it has none."""
        return summaries.select("value").collect()["value"].to_numpy()


class SourceNumberOperator(NumberOperator):
    """One that goes by the numbers among all rows, or among those of each source."""

    per_source: bool = Field(False, description="Go by the rows of each source by themselves.")

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        table = super().summarize(batch)
        return table.with_columns(batch["source"]) if self.per_source else table

    def compared(self, summaries: pl.LazyFrame, count: int) -> Iterator[NDArray[np.int64]]:
        """The places of rows that are compared with one another, of so many in all."""
        if not self.per_source:
            yield np.arange(count)
            return
        source = summaries.select(pl.col("source").cast(pl.Categorical).to_physical()).collect()
        number = source["source"].to_numpy()
        for each in np.unique(number):
            yield np.flatnonzero(number == each)

    def within(self, value: pl.Expr) -> pl.Expr:
        """What a window computes over the rows that a row is compared with."""
        return value.over("source") if self.per_source else value


def not_numbers(context: CheckContext, column: str) -> Iterator[tuple[str, str, str]]:
    """That the parameter `by` names a column of text, where it does."""
    if context.kinds.get(column) == "text":
        yield "by", f"the column {shortened(column)} holds text, not numbers", NUMBERS


def numeric(batch: pl.DataFrame, column: str, op: str) -> pl.Expr:
    """The column as numbers. Raises `RunError` where it holds none.

    NaN is what a broken measurement leaves behind: it is no value, and not the highest one.
    """
    dtype = batch.schema[column]
    if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        raise RunError(f"{op} by {column}: the column holds {dtype}, not numbers", hint=NUMBERS)
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def quantile_bins(value: pl.Expr, bins: int) -> pl.Expr:
    """The number of the bin of each value, from 0 for the lowest; all bins have as many values, so
    far as equal ones, which share the bin of the first, allow; null where there is no value."""
    place = value.rank("min") - 1
    return (place * bins // value.count()).cast(pl.Int32)


def allocated(
    sizes: NDArray[np.int64], weights: NDArray[np.float64], total: int
) -> NDArray[np.int64]:
    """Whole numbers of about `total`, in proportion to the weights, and none beyond its size: what
    one cannot hold the others get. Where rounding leaves some, those that lost most get them."""
    total = min(total, int(sizes.sum()))
    order = np.argsort(sizes / weights, kind="stable")
    exact = sizes.astype(np.float64)
    left, weight = float(total), float(weights.sum())
    for place, stratum in enumerate(order):
        scale = left / weight
        if sizes[stratum] > weights[stratum] * scale:
            rest = order[place:]
            exact[rest] = weights[rest] * scale
            break
        left -= sizes[stratum]
        weight -= weights[stratum]
    whole = np.minimum(np.floor(exact + 1e-9).astype(np.int64), sizes)
    lost = np.argsort(whole - exact, kind="stable")
    lost = lost[whole[lost] < sizes[lost]]
    whole[lost[: total - int(whole.sum())]] += 1
    return whole
