"""Corpus operators: what can only be decided once every row has been seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from datachef.core.operator import Operator, Outcome

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Context:
    """What a decision may depend on besides the summaries: the step's seed, the sources."""

    seed: int
    sources: tuple[str, ...] = ()


class CorpusOperator(Operator):
    """Summarizes batches in parallel, decides once, applies the decision in parallel.

    Summaries keep the order of the data, so that "the first" means the same for any number of
    workers. Rows themselves never travel to the place where the decision is made.
    """

    shape: ClassVar[str] = "corpus"

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """A small table about the batch; must not depend on where batches are cut."""
        raise NotImplementedError

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        """The decision about the whole corpus, from all summaries in the order of the data."""
        raise NotImplementedError

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        """Carries the decision out on a batch.

        As it stands: the decision lists the rows to drop, with columns `id` and `reason`.
        """
        from datachef.core.accounting import rejected

        marked = batch.join(
            decision.select("id", "reason"), on="id", how="left", maintain_order="left"
        )
        keep = marked["reason"].is_null()
        return Outcome(batch.filter(keep), rejected(batch, keep, marked["reason"]))


class MixOperator(CorpusOperator):
    """A corpus operator that stands in `mix:` and decides how often each row is taken.

    Its decision has columns `id` and `copies` (0 drops the row) and lists only the rows that are
    not taken exactly once.
    """

    shape: ClassVar[str] = "mix"

    def shares(self) -> Mapping[str, float] | None:
        """The weight of each source, where the operator names them."""
        return None

    def reasons(self) -> tuple[str, ...]:
        return ("over_budget",)

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        import polars as pl

        from datachef.core.accounting import rejected

        marked = batch.join(
            decision.select("id", "copies"), on="id", how="left", maintain_order="left"
        )
        copies = marked["copies"].fill_null(1)
        dropped = rejected(batch, copies > 0, "over_budget")
        number = pl.int_range(pl.len()).over("_row")
        rows = (
            batch.with_row_index("_row")
            .with_columns(copies.alias("_copies"))
            .filter(pl.col("_copies") > 0)
            .with_columns(pl.col("_copies").cast(pl.Int64).repeat_by(pl.col("_copies")))
            .explode("_copies")
            .with_columns(number.alias("_number"))
        )
        suffix = pl.lit("~") + (pl.col("_number") + 1).cast(pl.String)
        named = pl.when(pl.col("_number") > 0).then(pl.col("id") + suffix).otherwise(pl.col("id"))
        rows = rows.with_columns(named.alias("id")).drop("_row", "_copies", "_number")
        kept = batch.height - (0 if dropped is None else dropped.height)
        return Outcome(rows, dropped, created=rows.height - kept)
