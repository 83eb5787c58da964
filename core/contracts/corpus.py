"""Corpus operators decide once every row has been seen; `Take` is the one that sources use."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, get_args

from pydantic import Field

from datachef.core.contracts.operator import Operator, Outcome
from datachef.core.contracts.parameters import CORPUS_SIZE, REFERENCE, SOURCE_WEIGHTS
from datachef.core.contracts.row_selection import lowest, rows_dropped, sampling_priorities
from datachef.core.contracts.task import Budget

if TYPE_CHECKING:
    import polars as pl


# An id and two numbers.
SUMMARY_BYTES = 64


@dataclass(frozen=True)
class Context:
    """What a decision may depend on besides the summaries: the step's seed, the sources.

    `references` is how many of the first summaries are rows of the source that the operator names
    as a `reference_source()`: rows to compare with, of which nothing is decided. `counted` are
    the numbers that the operator adds to the ledger by `count`. `folder` is an empty one for what
    is too large for memory, which is gone after the decision; None where all of it is small.
    `parts` is what `resolve_part` made, where the work was divided.
    """

    seed: int
    sources: tuple[str, ...] = ()
    references: int = 0
    folder: Path | None = None
    parts: pl.LazyFrame | None = None
    counted: Counter[str] = field(default_factory=Counter, compare=False)

    def count(self, name: str, number: int) -> None:
        """Adds a number to the ledger of the step, such as how often something was the case."""
        if number:
            self.counted[name] += number


@dataclass(frozen=True)
class Size:
    """How much a source holds, or is estimated to hold."""

    rows: float
    tokens: float


class CorpusOperator(Operator):
    """Summarizes batches in parallel, decides once, applies the decision in parallel.

    Summaries keep the order of the data, so that "the first" means the same for any number of
    workers. Rows themselves never travel to the place where the decision is made.
    """

    shape: ClassVar[str] = "corpus"
    # Whether of rows with the same content one stays: copies made before it are removed again.
    removes_copies: ClassVar[bool] = False
    # Whether `resolve_part` does most of the work on a large corpus.
    divisible: ClassVar[bool] = False
    # The memory that `resolve` takes for each row: by default for all summaries, and as much again.
    bytes_per_row: ClassVar[int] = 2 * SUMMARY_BYTES

    def references(self) -> tuple[str, ...]:
        """The sources that this operator compares with: its `reference_source()` parameters."""
        named = (getattr(self, name) for name in self.marked(REFERENCE))
        return tuple(name for name in named if name is not None)

    @abstractmethod
    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """A small table about the batch; must not depend on where batches are cut."""
        raise NotImplementedError

    @abstractmethod
    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame | pl.LazyFrame:
        """The decision about the whole corpus, from all summaries in the order of the data.

        Of a large corpus each query reads them anew, but no more than the columns that it needs. A
        decision that is lazy, and in the order of the data, is never in memory as a whole.
        """
        raise NotImplementedError

    def resolve_part(
        self, summaries: pl.LazyFrame, part: int, count: int, context: Context
    ) -> pl.DataFrame:
        """One of `count` parts of the work on the decision, which are done in parallel.

        `resolve` finds the tables of all parts, one after the other, in `context.parts`; on a small
        corpus it does the work itself. A decision must not depend on how it was divided.
        """
        raise NotImplementedError(f"{self.op} does not divide its decisions")

    def decision_bytes(self, size: Size) -> tuple[float, float]:
        """About what a decision on a corpus of this size takes at most: bytes of memory beside what
        a worker has anyway, and bytes of disk.

        As inherited: `bytes_per_row` of memory, and summaries of an id and two numbers on disk.
        """
        return self.bytes_per_row * size.rows, SUMMARY_BYTES * size.rows

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        """Carries the decision out on a batch.

        As it stands: the decision lists the rows to drop, with columns `id` and `reason`, and may
        say more of each in a column `detail`, which is kept with the rejected rows.
        """
        from datachef.core.contracts.accounting import rejected

        reason = _decided(batch, decision, "reason")
        keep = reason.is_null()
        detail = _decided(batch, decision, "detail") if "detail" in decision.columns else None
        return Outcome(batch.filter(keep), rejected(batch, keep, reason, detail))

    @property
    def decides(self) -> str:
        """The column of the decision that `apply` as inherited reads beside `id`; empty where a
        decision of another form is for an `apply` of the operator's own."""
        inherited = type(self).apply is CorpusOperator.apply or self.shape == "synthesis"
        return "reason" if inherited else ""

    @property
    def decides_by_row(self) -> bool:
        """Whether a decision says all that it says of single rows, by their `id`: then `apply` is
        given no more of it than is said of the rows that were summarized together."""
        return bool(self.decides)


# Where a row stands in the corpus, from 0 to below 1; the output is written by it.
ORDER = "corpus_order"


class OrderOperator(CorpusOperator):
    """A corpus operator that says in which order the corpus is written, among the recipe's `steps`.

    Its decision has the columns `id` and `corpus_order`, a number from 0 to below 1 for every row;
    rows of one number stand in the order of their ids. Of several such steps the last one counts,
    and the rows of a later step that bear no number come last.
    """

    @property
    def decides(self) -> str:
        return ""

    @property
    def decides_by_row(self) -> bool:
        return type(self).apply is OrderOperator.apply

    def writes(self) -> set[str]:
        return {ORDER}

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        import polars as pl

        place = _decided(batch, decision, ORDER).cast(pl.Float64)
        return Outcome(batch.with_columns(place.alias(ORDER)))


class RepeatOperator(CorpusOperator):
    """A corpus operator that decides how often each row is taken.

    Its decision has columns `id` and `copies` (0 drops the row, for the first of `reasons()`) and
    lists only the rows that are not taken exactly once.
    """

    selects: ClassVar[bool] = True

    @property
    def decides(self) -> str:
        return "copies"

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        import numpy as np
        import polars as pl

        from datachef.core.contracts.accounting import rejected

        copies = _decided(batch, decision, "copies").fill_null(1)
        dropped = rejected(batch, copies > 0, self.reasons()[0])
        taken = pl.Series(np.repeat(np.arange(batch.height), copies.to_numpy()))
        rows = batch[taken]
        number = taken.to_frame("row").select(pl.int_range(pl.len()).over("row")).to_series()
        suffix = pl.when(number > 0).then("~" + (number + 1).cast(pl.String)).otherwise(pl.lit(""))
        rows = rows.with_columns(pl.col("id") + suffix)
        kept = batch.height - (0 if dropped is None else dropped.height)
        return Outcome(rows, dropped, created=rows.height - kept)


class MixOperator(RepeatOperator):
    """A corpus operator that stands in `mix:` and decides how often each row is taken.

    What it is asked for, and whether sources fall short of it, it tells of whole sources, without
    looking at rows.
    """

    shape: ClassVar[str] = "mix"

    @property
    def unit(self) -> Literal["tokens", "rows"]:
        """What shares are shares of."""
        return "tokens"

    def reads(self) -> set[str]:
        return {"tokens"} if self.unit == "tokens" else set()

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """`id`, `source` and `size`: the tokens of a row, or 1 where rows are counted."""
        import polars as pl

        size = pl.lit(1) if self.unit == "rows" else pl.col("tokens").fill_null(0)
        return batch.select("id", "source", size.cast(pl.Int64).alias("size"))

    def sizes(self, summaries: pl.LazyFrame, sources: Iterable[str] = ()) -> dict[str, Size]:
        """How much of each source reaches the mix; nothing of those that are not in the summaries.

        Tokens are 0 where rows are counted.
        """
        import polars as pl

        counted = summaries.group_by("source").agg(pl.len(), pl.col("size").sum())
        tokens = self.unit == "tokens"
        found = {name: Size(0, 0) for name in sources}
        for name, rows, size in counted.sort("source").collect().iter_rows():
            found[name] = Size(rows, size if tokens else 0)
        return found

    @classmethod
    def weights_parameter(cls) -> str | None:
        """The parameter made by `source_weights()`, where there is one."""
        return next(iter(cls.marked(SOURCE_WEIGHTS)), None)

    @classmethod
    def budget_parameter(cls) -> str | None:
        """The parameter made by `corpus_size()` that takes a `Budget`, where there is one."""
        return next((name for name in cls.marked(CORPUS_SIZE) if _takes_budget(cls, name)), None)

    def shares(self) -> Mapping[str, float] | None:
        """The weight of each source, where the operator names them: those of its
        `weights_parameter`."""
        name = self.weights_parameter()
        return None if name is None else getattr(self, name) or None

    def asked(self, sizes: Mapping[str, Size]) -> Mapping[str, float]:
        """The share that each source is to have in the corpus, for sources of these sizes; by
        default that which it has among them."""
        amounts = {name: getattr(size, self.unit) for name, size in sizes.items()}
        whole = sum(amounts.values())
        return {name: amount / whole if whole else 0.0 for name, amount in amounts.items()}

    def epochs(self, sizes: Mapping[str, Size]) -> Mapping[str, float]:
        """How often a row of each source is taken on average, for sources of these sizes.

        What `resolve` would decide, told without looking at rows; every source once where a mix
        does not say otherwise.
        """
        return dict.fromkeys(sizes, 1.0)

    def without_repeats(self) -> Self:
        """This mix for samples of the sources: of the shares that are asked for, and no larger than
        what the samples give where no row is repeated. This itself by default."""
        return self

    def shortages(self, sizes: Mapping[str, Size]) -> Iterable[tuple[str, str, str]]:
        """Where sources of these sizes cannot give what is asked of them, and what is done about
        it: (parameter, message, hint) each."""
        return ()

    def reasons(self) -> tuple[str, ...]:
        return ("over_budget",)


def _takes_budget(kind: type[Operator], parameter: str) -> bool:
    annotation = kind.model_fields[parameter].annotation
    return annotation is Budget or Budget in get_args(annotation)


def refuse_unfit_decision(
    operator: CorpusOperator, summaries: pl.LazyFrame, decision: pl.DataFrame
) -> None:
    """Raises `PluginError` where a decision is not one on rows that were summarized, each once."""
    import polars as pl

    from datachef.core.contracts.accounting import frame_of
    from datachef.core.errors import PluginError

    if not operator.decides:
        return
    table = frame_of(decision, "resolve()", "id", operator.decides)
    decided = table[operator.decides]
    if table["id"].is_duplicated().any():
        twice = table["id"].filter(table["id"].is_duplicated())[0]
        raise PluginError(f"resolve() decides on the row {twice!r} more than once")
    if decided.null_count():
        row = table.filter(decided.is_null())["id"][0]
        raise PluginError(
            f"resolve() gave no {operator.decides} for the row {row!r}",
            "leave out the rows of which nothing is decided",
        )
    if summaries.collect_schema().get("id") == pl.String and table.height:
        ids = table.lazy().select(pl.col("id").cast(pl.String))
        unknown = ids.join(summaries.select("id"), "id", "anti").head(1).collect()
        if unknown.height:
            raise PluginError(
                f"resolve() decides on a row that is not there (id {unknown['id'][0]!r})",
                "it decides on the ids of the summaries",
            )
    if operator.decides == "copies":
        if table.height and (not decided.dtype.is_integer() or bool((decided < 0).any())):
            raise PluginError("resolve() gave copies that are no numbers of rows")
        return
    strange = sorted(set(decided.unique()) - set(operator.reasons()))
    if strange:
        raise PluginError(
            f"resolve() drops rows as {strange[0]!r}, which reasons() does not name",
            "name all reasons in reasons()",
        )


def _decided(batch: pl.DataFrame, decision: pl.DataFrame, column: str) -> pl.Series:
    """What was decided of each row, null where it is not mentioned."""
    import polars as pl

    from datachef.core.contracts.accounting import frame_of
    from datachef.core.errors import PluginError

    ids = batch.select("id")
    table = frame_of(decision, "resolve()", "id", column).select("id", column)
    decided = ids.join(table, on="id", how="left", maintain_order="left")
    if decided.height != batch.height:
        twice = decided.filter(pl.col("id").is_duplicated())["id"][0]
        raise PluginError(f"resolve() decides on the row {twice!r} more than once")
    return decided[column]


class Take(CorpusOperator):
    """Keeps a fixed number of rows, drawn by the seed; what `take:` of a source stands for."""

    selects: ClassVar[bool] = True
    bytes_per_row: ClassVar[int] = 24

    op: Literal["take"] = "take"
    rows: int = Field(1, ge=1, description="Rows to keep.")

    def reasons(self) -> tuple[str, ...]:
        return ("not_sampled",)

    def reads(self) -> set[str]:
        return {"id"}

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        kept = lowest(sampling_priorities(summaries, context.seed), self.rows)
        return rows_dropped(summaries, ~kept, "not_sampled")
