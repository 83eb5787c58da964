"""A corpus in random order."""

from __future__ import annotations

from typing import Literal

import polars as pl

from datachef.core import Context, OrderOperator, sampling_priority


class Shuffle(OrderOperator):
    """Writes the corpus in an order that the seed decides."""

    op: Literal["shuffle"] = "shuffle"

    def reads(self) -> set[str]:
        return set()

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        ids = summaries.select("id").collect()
        place = sampling_priority(ids["id"], context.seed).rank("ordinal") - 1
        return ids.with_columns((place / max(len(place), 1)).alias("corpus_order"))
