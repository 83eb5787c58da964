"""What operators have in common that select rows by the examples of a task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import (
    CheckContext,
    Context,
    DatachefError,
    Examples,
    Outcome,
    Task,
    beside_ids,
    input_file,
    lowest,
    read_benchmark,
)
from datachef.operators.selection.sample import ShareSelection

_HINT = "give the step a target, or the recipe a task that has examples"
# Digits of a score that count: sums of fractions may differ in the last ones.
_DIGITS = 5


class TargetedSelection(ShareSelection):
    """Keeps a part of the rows by a target: the examples of the recipe's task."""

    target: Examples | None = input_file(
        description="What to resemble: a file, with its prompt and answer fields; the examples of "
        "the recipe's task when left out.",
    )
    share: float = Field(0.1, ge=0.001, le=1.0, description="Share of the rows to keep.")

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.target is None:
            yield "", "there are no examples to resemble", _HINT

    def for_task(self, task: Task) -> Self:
        if self.target is not None or task.examples is None:
            return self
        return self.changed({"target": task.examples})

    def examples(self, most: int | None = None) -> pl.Series:
        """The texts of the examples, prompt and answer: at most `most` of them, evenly spaced.

        Raises `DatachefError` where there are none, or none that says anything.
        """
        if self.target is None:
            raise DatachefError(f"{self.op} has no examples to resemble", hint=_HINT)
        items = read_benchmark(self.target)
        texts = pl.Series([f"{item.prompt}\n{item.answer}" for item in items], dtype=pl.String)
        if not texts.str.contains(r"\w").any():
            raise DatachefError(f"{self.target.path} holds no words to resemble", hint=_HINT)
        if most is None or len(texts) <= most:
            return texts
        return texts.gather(np.arange(most) * len(texts) // most)


class ScoredSelection(TargetedSelection):
    """Keeps the rows that have the highest scores toward the target; of equal scores the first."""

    keep_scores: bool = Field(
        False, description="Keep the score as a column with the name of the step."
    )

    @abstractmethod
    def scores(self, summaries: pl.LazyFrame, context: Context) -> NDArray[np.float64]:
        """The score of every row, in the order of the data."""
        raise NotImplementedError

    def reasons(self) -> tuple[str, ...]:
        return ("not_in_top",)

    @property
    def decides_by_row(self) -> bool:
        return True

    def writes(self) -> set[str]:
        return {self.op} if self.keep_scores else set()

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        scores = pl.Series(self.scores(summaries, context)).round(_DIGITS).to_numpy()
        gone = ~lowest(-scores, self.quota(len(scores)))
        decided = beside_ids(summaries, score=scores, gone=gone).select(
            "id",
            "score",
            pl.when("gone").then(pl.lit("not_in_top")).alias("reason"),
            pl.format("score {}", "score").alias("detail"),
        )
        return decided if self.keep_scores else decided.filter(pl.col("reason").is_not_null())

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        made = super().apply(batch, decision)
        if not self.keep_scores:
            return made
        scores = decision.select("id", pl.col("score").alias(self.op))
        rows = made.rows.drop(self.op, strict=False)
        rows = rows.join(scores, on="id", how="left", maintain_order="left")
        return Outcome(rows, made.dropped, made.failed)
