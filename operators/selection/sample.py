"""A random part of the corpus, and the base of whatever keeps a part of it."""

from __future__ import annotations

from math import floor
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    Context,
    CorpusOperator,
    corpus_size,
    lowest,
    rows_dropped,
    sampling_priorities,
)


class ShareSelection(CorpusOperator):
    """Keeps a share of the rows, or a fixed number."""

    selects: ClassVar[bool] = True
    bytes_per_row: ClassVar[int] = 40

    share: float = Field(1.0, ge=0.001, le=1.0, description="Share of the rows to keep.")
    rows: int | None = corpus_size(
        ge=1,
        le=1_000_000_000,
        examples=[1_000, 10_000, 100_000],
        description="Largest number of rows to keep, whatever the share.",
    )

    def quota(self, available: int) -> int:
        """How many of the available rows stay: the share, rounded half up, and at most `rows`."""
        wanted = floor(available * self.share + 0.5)
        return wanted if self.rows is None else min(wanted, self.rows)


class Sample(ShareSelection):
    """Keeps a random share, or a fixed number, of the rows.

    The rows of the lowest priority stay, a hash of seed and id: the same ones for any number of
    workers, and a smaller sample is part of a larger one of the same seed.
    """

    op: Literal["sample"] = "sample"

    def reads(self) -> set[str]:
        return set()

    def reasons(self) -> tuple[str, ...]:
        return ("not_sampled",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        priority = sampling_priorities(summaries, context.seed)
        gone = ~lowest(priority, self.quota(len(priority)))
        return rows_dropped(summaries, gone, "not_sampled")
