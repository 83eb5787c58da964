"""Better rows more often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import CheckContext, Context, RepeatOperator, beside_ids, sampling_priorities
from datachef.operators.selection.strata import SourceNumberOperator, quantile_bins

Epochs = Annotated[float, Field(ge=0, le=20)]


class QualityUpsampling(SourceNumberOperator, RepeatOperator):
    """Cuts the rows into tiers of equal size by a column, and repeats each as often as it says.

    As in the data of OLMo 3 and Nemotron-CC (Su et al. 2025, https://arxiv.org/abs/2412.02595),
    where what a classifier rates higher is repeated and the lowest tiers are left out. Of a number
    of times with a fraction, a random part of the tier gets the next whole one: 1.5 is once, and
    half of the rows twice. Rows without a value belong to the lowest tier. Write it under a source
    to weigh its tiers before the mix, or on the corpus.
    """

    bytes_per_row: ClassVar[int] = 56

    op: Literal["quality_upsampling"] = "quality_upsampling"
    epochs: tuple[Epochs, ...] = Field(
        (0.0, 1.0, 2.0, 4.0),
        min_length=2,
        max_length=20,
        examples=[(0.0, 1.0, 2.0, 4.0), (0.5, 1.0, 1.5), (0.0, 1.0), (1.0, 2.0)],
        description="How often each tier is taken, from the lowest values to the highest.",
    )

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        yield from super().check(context)
        if not any(self.epochs):
            yield "epochs", "every tier is taken 0 times, so nothing is left", "take one more often"

    def reasons(self) -> tuple[str, ...]:
        return ("tier_not_taken",)

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        tier = self.within(quantile_bins(pl.col("value"), len(self.epochs)).fill_null(0))
        tiers = summaries.select(tier.alias("tier")).collect()["tier"].to_numpy()
        chance = sampling_priorities(summaries, context.seed) / 2.0**64
        copies = np.floor(np.asarray(self.epochs)[tiers] + chance).astype(np.uint32)
        return beside_ids(summaries, copies=copies).filter(pl.col("copies") != 1)
