"""Better rows more often."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import (
    CheckContext,
    Context,
    CorpusOperator,
    Outcome,
    sampling_priority,
    shortened,
)
from datachef.operators.selection.strata import NUMBERS, numeric, quantile_bins

Epochs = Annotated[float, Field(ge=0, le=20)]


class QualityUpsampling(CorpusOperator):
    """Cuts the rows into tiers of equal size by a column, and repeats each as often as it says.

    As in the data of OLMo 3 and Nemotron-CC (Su et al. 2025, https://arxiv.org/abs/2412.02595),
    where what a classifier rates higher is repeated and the lowest tiers are left out. Of a number
    of times with a fraction, a random part of the tier gets the next whole one: 1.5 is once, and
    half of the rows twice. Rows without a value belong to the lowest tier. Write it under a source
    to weigh its tiers before the mix, or on the corpus.
    """

    selects: ClassVar[bool] = True

    not_for_policies: ClassVar[str] = "The column to go by is another one in every source."

    op: Literal["quality_upsampling"] = "quality_upsampling"
    by: str = Field(
        min_length=1, max_length=200, description="A numeric column, or a signal kept as a column."
    )
    epochs: tuple[Epochs, ...] = Field(
        (0.0, 1.0, 2.0, 4.0),
        min_length=2,
        max_length=20,
        examples=[(0.0, 1.0, 2.0, 4.0), (0.5, 1.0, 1.5), (0.0, 1.0), (1.0, 2.0)],
        description="How often each tier is taken, from the lowest values to the highest.",
    )
    per_source: bool = Field(False, description="Cut the tiers within each source by itself.")

    def reads(self) -> set[str]:
        return {self.by}

    def check(self, context: CheckContext) -> Iterable[tuple[str, str, str]]:
        if context.kinds.get(self.by) == "text":
            yield "by", f"the column {shortened(self.by)} holds text, not numbers", NUMBERS
        if not any(self.epochs):
            yield "epochs", "every tier is taken 0 times, so nothing is left", "take one more often"

    def reasons(self) -> tuple[str, ...]:
        return ("tier_not_taken",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        source = ["source"] if self.per_source else []
        return batch.select("id", *source, numeric(batch, self.by, self.op).alias("value"))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        tier = quantile_bins(pl.col("value"), len(self.epochs)).fill_null(0)
        if self.per_source:
            tier = tier.over("source")
        rows = summaries.select("id", tier.alias("tier")).collect()
        epochs = np.asarray(self.epochs)[rows["tier"].to_numpy()]
        chance = sampling_priority(rows["id"], context.seed).to_numpy() / 2.0**64
        copies = np.floor(epochs + chance).astype(np.uint32)
        return rows.select("id", pl.Series("copies", copies)).filter(pl.col("copies") != 1)

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        decided = batch.select("id").join(decision, on="id", how="left", maintain_order="left")
        copies = decided["copies"].fill_null(1)
        rows = batch[pl.Series(np.repeat(np.arange(batch.height), copies.to_numpy()))]
        number = pl.int_range(1, pl.len() + 1).over("id").cast(pl.String)
        again = pl.when(number != "1").then("~" + number).otherwise(pl.lit(""))
        rows = rows.with_columns(pl.col("id") + again)
        dropped = batch.filter(copies == 0).with_columns(pl.lit("tier_not_taken").alias("reason"))
        created = rows.height - (batch.height - dropped.height)
        return Outcome(rows, dropped, created=created)
