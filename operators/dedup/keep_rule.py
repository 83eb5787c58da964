"""Which of several copies stays: what all operators that drop copies of rows have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from datachef.core import (
    CheckContext,
    Context,
    CorpusOperator,
    RunError,
    Size,
    reference_source,
    shortened,
)
from datachef.operators.dedup.copies import IN_MEMORY_ROWS, Copies
from datachef.operators.dedup.verified import (
    Compare,
    compared_pairs,
    copies_of_kept,
    memory_for,
)

_HINT = "name a numeric column, or a signal that a filter keeps (keep_signals: true)"


class RowDedup(CorpusOperator):
    """Drops copies of rows; of several, `keep` says which one stays.

    A subclass says what it needs of rows (`columns`), and decides on `copies`.
    """

    removes_copies: ClassVar[bool] = True

    keep: Literal["first", "longest", "best"] = Field(
        "first",
        description="Which of several copies stays: the first, the longest by characters, or the "
        "one with the highest value of `by`; among equals the first.",
    )
    by: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="For `keep: best`, a numeric column or a signal kept as a column.",
    )

    against: str | None = reference_source(
        description="Another source of the recipe: rows that copy one of its rows go, and the "
        "source itself is not in the corpus."
    )

    @model_validator(mode="after")
    def _best_by_something(self) -> Self:
        if (self.keep == "best") != (self.by is not None):
            raise ValueError("keep: best and by: COLUMN go together")
        return self

    def reads(self) -> set[str]:
        return {"text"} if self.by is None else {"text", self.by}

    def check(self, context: CheckContext) -> Iterable[tuple[str, str, str]]:
        if self.by is not None and context.kinds.get(self.by) == "text":
            yield "by", f"the column {shortened(self.by)} holds text, not numbers", _HINT

    @abstractmethod
    def columns(self, batch: pl.DataFrame) -> list[pl.Series]:
        """What is needed of each row to decide on copies."""
        raise NotImplementedError

    @abstractmethod
    def copies(self, summaries: pl.LazyFrame, context: Context) -> Copies:
        """Which rows go. Summaries have `id`, perhaps `rank` (the highest stays), and `columns`."""
        raise NotImplementedError

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id", *self._rank(batch), *self.columns(batch))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        copies = self.copies(summaries, context)
        context.count("unverified_candidates", copies.unverified)
        return copies.decision(summaries, self.reasons()[0], context.folder)

    def _rank(self, batch: pl.DataFrame) -> list[pl.Expr]:
        if self.keep == "first":
            return []
        if self.by is None:
            return [pl.col("text").str.len_chars().cast(pl.Float64).alias("rank")]
        dtype = batch.schema.get(self.by, pl.Null())  # a reference may do without
        if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
            raise RunError(
                f"{self.op} by {self.by}: the column holds {dtype}, not numbers", hint=_HINT
            )
        value = pl.col(self.by) if self.by in batch.columns else pl.lit(None)
        return [value.cast(pl.Float64).fill_nan(None).alias("rank")]


class KeyedDedup(RowDedup):
    """Rows that have a key in common are candidates, which are compared with rows that stay; a part
    of the work is on a part of the keys."""

    divisible: ClassVar[bool] = True

    @abstractmethod
    def compare(self, rows: pl.DataFrame) -> Compare:
        """How these rows of the summaries, which have candidates, are compared.

        The keys are those of `columns` that are named `key...`.
        """
        raise NotImplementedError

    @abstractmethod
    def summary_bytes(self, tokens: float) -> float:
        """The bytes of `columns` for a row of so many tokens."""
        raise NotImplementedError

    def decision_bytes(self, size: Size) -> tuple[float, float]:
        rows = max(size.rows, 1.0)
        disk = super().decision_bytes(size)[1] + self.summary_bytes(size.tokens / rows) * rows
        in_memory = disk * min(IN_MEMORY_ROWS / rows, 1)
        return in_memory + memory_for(rows), 2 * disk  # what is compared is written once more

    def resolve_part(
        self, summaries: pl.LazyFrame, part: int, count: int, context: Context
    ) -> pl.DataFrame:
        return compared_pairs(
            summaries, self.compare, part, count, context.references, context.folder
        )

    def copies(self, summaries: pl.LazyFrame, context: Context) -> Copies:
        return copies_of_kept(
            summaries, self.compare, context.references, context.folder, context.parts
        )
