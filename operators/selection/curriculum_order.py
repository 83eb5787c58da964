"""A corpus from easy rows to hard ones, or the other way."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import Context, OrderOperator, beside_ids, sampling_priorities
from datachef.operators.selection.strata import NumberOperator


class CurriculumOrder(NumberOperator, OrderOperator):
    """Writes the corpus from low to high values of a column, or the other way, perhaps in stages.

    As in curriculum learning (Bengio et al. 2009, https://doi.org/10.1145/1553374.1553380): easy
    rows first, by length, perplexity or a score. With `stages` the rows are cut into as many parts
    of one size by their values, which follow one another, and each part is shuffled by the seed.
    Rows without a value come last; equal values stand in the order of the data.
    """

    bytes_per_row: ClassVar[int] = 64

    op: Literal["curriculum_order"] = "curriculum_order"
    order: Literal["ascending", "descending"] = Field(
        "ascending", description="Whether low or high values come first."
    )
    stages: int | None = Field(
        None, ge=2, le=100, description="Parts that are shuffled each; null: sorted throughout."
    )

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        values = self.values(summaries)
        ranked = np.argsort(-values if self.order == "descending" else values, kind="stable")
        numbers = np.arange(len(ranked))
        place = np.empty(len(ranked), np.int64)
        place[ranked] = numbers
        if self.stages:
            stage = place * self.stages // max(len(ranked), 1)
            chance = sampling_priorities(summaries, context.seed)
            place[np.lexsort((chance, stage))] = numbers
        return beside_ids(summaries, corpus_order=place / max(len(ranked), 1))
