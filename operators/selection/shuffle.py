"""A corpus in random order."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl

from datachef.core import Context, OrderOperator, beside_ids, sampling_priorities


class Shuffle(OrderOperator):
    """Writes the corpus in an order that the seed decides."""

    bytes_per_row: ClassVar[int] = 32

    op: Literal["shuffle"] = "shuffle"

    def reads(self) -> set[str]:
        return set()

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        order = np.argsort(sampling_priorities(summaries, context.seed), kind="stable")
        place = np.empty(len(order))
        place[order] = np.arange(len(order)) / max(len(order), 1)
        return beside_ids(summaries, corpus_order=place)
