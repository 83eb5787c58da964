"""Decides on the rows of a corpus, from the summaries of all partitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from datachef.core.contracts.accounting import frame_of
from datachef.core.contracts.corpus import (
    Context,
    CorpusOperator,
    MixOperator,
    refuse_unfit_decision,
)
from datachef.core.errors import PluginError, RunError
from datachef.core.registry.promises import ask
from datachef.core.run.ledger import Entry
from datachef.core.run.stage import DecisionWork
from datachef.core.run.steps import ROW, CorpusStep
from datachef.core.run.store import Store
from datachef.core.run.summaries import Table, scanned

SUFFIX = "decision.parquet"
_RECORDS_AT_ONCE = 1_000
# polars numbers rows from 0 in this type.
MOST_ROWS = 2**64 - 1 if pl.get_index_type() == pl.UInt64 else 2**32 - 1
# Rows of a decision that are read at once, and that are looked through for those of a small table.
READ_ROWS = 100_000
_AT_LEAST = 1_000


def decide(item: DecisionWork, step: CorpusStep, store: Store) -> dict[str, Any]:
    """The record of a decision, whose table is left in the store."""
    operator = step.operator
    with _summarized(item, step, store) as (tables, passing, summaries, context):
        if summaries is None:
            facts = store.write_pieces(item.key, SUFFIX, [pl.DataFrame()])
            kept: dict[str, Any] = {"files": [facts], "pieces": {}}
        else:
            answer = ask(operator, "resolve", summaries, context)
            kept = write_decision(item.key, operator, answer, summaries, tables, store)
            if isinstance(operator, MixOperator):
                kept |= _mixed(operator, summaries, kept.pop("copies"), item.sources)
    entry = Entry(step.path, operator.op, counted=context.counted)
    ledger = [entry.to_data()] if context.counted else []
    return {"key": item.key, **kept, "ledger": ledger, "passing": passing}


def decide_part(item: DecisionWork, step: CorpusStep, store: Store) -> dict[str, Any]:
    """The record of a part of the work on a decision, whose table is left in the store."""
    assert item.part is not None
    files = []
    with _summarized(item, step, store) as (_, passing, summaries, context):
        if summaries is not None:
            answer = ask(step.operator, "resolve_part", summaries, *item.part, context)
            found = frame_of(answer, "resolve_part()")
            files.append(store.write(item.key, "part.parquet", found))
    return {"key": item.key, "files": files, "ledger": [], "passing": passing}


class _Summarized(NamedTuple):
    """The tables of all summaries, whether one of them holds for this run alone, all of them one
    after the other (None without any), and the context of the decision."""

    tables: list[Table]
    passing: bool
    summaries: pl.LazyFrame | None
    context: Context


@contextmanager
def _summarized(item: DecisionWork, step: CorpusStep, store: Store) -> Iterator[_Summarized]:
    """What the work on a decision begins with. Raises `RunError` where some of it is gone."""
    tables: list[Table] = []
    passing = False
    for key, record in _records(item.summaries, step, store):
        passing = passing or bool(record.get("passing"))
        if record["summary"]:
            tables.append((key, record["summary"]))
    if step.operator.decides_by_row:
        _refuse_more_than_numbers(sum(facts["rows"] for _, facts in tables), step)
    references = set(item.references)
    compared = sum(facts["rows"] for key, facts in tables if key in references)
    made = [(key, f) for key, record in _records(item.parts, step, store) for f in record["files"]]
    with ExitStack() as stack:
        folder = stack.enter_context(store.scratch_folder())
        stack.enter_context(step.located())
        parts = stack.enter_context(scanned(store, made, "resolve_part()")) if made else None
        context = Context(item.seed, item.sources, compared, folder, parts)
        summaries = stack.enter_context(scanned(store, tables)) if tables else None
        yield _Summarized(tables, passing, summaries, context)


def _refuse_more_than_numbers(rows: int, step: CorpusStep) -> None:
    if rows > MOST_ROWS:
        raise RunError(
            f"{step.path} ({step.operator.op}) decides on {rows:,} rows, and polars has numbers "
            f"for {MOST_ROWS:,}",
            'pip install "polars[rt64]" on all machines has more; or decide on parts of the '
            "corpus, each in a run of its own, and on what is left of them in another",
        )


def _records(
    keys: Sequence[str], step: CorpusStep, store: Store
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of all keys in their order. Raises `RunError` where one is gone."""
    for start in range(0, len(keys), _RECORDS_AT_ONCE):
        some = keys[start : start + _RECORDS_AT_ONCE]
        found = store.records(some)
        for key in some:
            record = found.get(key) or store.awaited(key)
            if record is None:
                raise RunError(f"the rows before {step.path} are gone from the cache", "run again")
            yield key, record


def decided_of(store: Store, decision: str, partition: str) -> pl.DataFrame | None:
    """What a decision says of the rows that a partition left, both by their keys; None where the
    decision is gone."""
    record = store.awaited(decision)
    if record is None:
        return None
    number = record["pieces"].get(partition, 0)
    return store.read(decision, record["files"][0]["pieces"][number])


def _mixed(
    mix: MixOperator,
    summaries: pl.LazyFrame,
    most: Mapping[str, int],
    sources: tuple[str, ...],
) -> dict[str, Any]:
    """What the record of a mix adds: the sizes of the sources before it, and the most copies that
    it takes of a row of each (`most`, where that is more than one). Where a mix has summaries of
    another form, sizes are unknown, and the most copies of any row hold for all sources."""
    if not {"source", "size"} <= set(summaries.collect_schema()):
        return {"copies": dict.fromkeys(sources, max(most.values(), default=1))}
    sizes = ask(mix, "sizes", summaries, sources)
    return {
        "sizes": {name: [size.rows, size.tokens] for name, size in sizes.items()},
        "copies": {name: most.get(name, most.get("", 1)) for name in sizes},
    }


def write_decision(
    key: str,
    operator: CorpusOperator,
    answer: Any,
    summaries: pl.LazyFrame,
    tables: Sequence[Table],
    store: Store,
) -> dict[str, Any]:
    """Writes an answer of `resolve()` piece by piece; tells what the record says of it, and of a
    mix also the most copies of a row that each source has, where that is more than one."""
    decision = _lazy(answer)
    numbers: dict[str, int] = {}
    copies: dict[str, int] = {}

    def divided(decision: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        for table, piece in pieces(operator, decision, summaries, tables, store):
            if table is not None:
                numbers[table[0]] = len(numbers) + 1
            if piece.height and isinstance(operator, MixOperator):
                source = _source_of(table, summaries, store)
                most = piece.select(pl.col("copies").max()).item()
                copies[source] = max(copies.get(source, 1), most)
            yield piece

    try:
        facts = store.write_pieces(key, SUFFIX, divided(decision))
    except pl.exceptions.PolarsError as error:
        raise PluginError(f"what resolve() gave cannot be computed: {error}") from error
    except _OutOfOrderError:
        numbers.clear()
        copies.clear()
        whole = arranged(operator, decision.collect(), summaries, tables)
        facts = store.write_pieces(key, SUFFIX, divided(whole.lazy()))
    mixed = {"copies": copies} if isinstance(operator, MixOperator) else {}
    return {"files": [facts], "pieces": numbers, **mixed}


def _source_of(table: Table | None, summaries: pl.LazyFrame, store: Store) -> str:
    """The source of the rows of a table, all of which come from one; empty where it is unknown."""
    if table is None or "source" not in summaries.collect_schema():
        return ""
    return str(store.columns(*table, ["source"])["source"][0])


def _lazy(answer: Any) -> pl.LazyFrame:
    """An answer of `resolve()`, which may be lazy already."""
    if isinstance(answer, pl.LazyFrame):
        return answer
    return frame_of(answer, "resolve()").lazy()


class _OutOfOrderError(Exception):
    """A decision is not in the order of the data, or one on rows that are not there."""


def pieces(
    operator: CorpusOperator,
    decision: pl.LazyFrame,
    summaries: pl.LazyFrame,
    tables: Sequence[Table],
    store: Store,
) -> Iterator[tuple[Table | None, pl.DataFrame]]:
    """First what a decision says of all rows, then what it says of those that each of the tables
    summarizes, as it comes; nothing of those of which it says nothing.

    Nothing is said of all rows, or everything, where a decision does not say of which row it says
    something. Raises `PluginError` for a decision that does not fit, and `_OutOfOrderError` in the
    end where not all of it was used up.
    """
    names, ids = decision.collect_schema().names(), summaries.collect_schema().get("id")
    if not operator.decides_by_row or ids != pl.String or "id" not in names:
        whole = decision.collect(engine="streaming")
        refuse_unfit_decision(operator, summaries, whole)
        yield None, whole
        return
    read = decision.collect_batches(chunk_size=READ_ROWS, maintain_order=True)
    batches = (batch for batch in read if batch.height)
    nothing = decision.head(0).collect()
    refuse_unfit_decision(operator, summaries, nothing)
    yield None, nothing
    left = next(batches, nothing)
    for table in tables:
        if not left.height:
            return
        known = store.columns(*table, ["id"])["id"]
        found = [nothing]
        while left.height:
            near = left.head(max(len(known), _AT_LEAST))
            others = ~near["id"].is_in(known.implode()).fill_null(False)
            count = int(others.arg_max() or 0) if others.any() else near.height
            found.append(left[:count])
            left = left[count:]
            if count < near.height:
                break
            left = left if left.height else next(batches, nothing)
        piece = pl.concat(found)
        if piece.height:
            refuse_unfit_decision(operator, known.to_frame().lazy(), piece)
            yield table, piece
    if left.height:
        raise _OutOfOrderError


def arranged(
    operator: CorpusOperator,
    decision: pl.DataFrame,
    summaries: pl.LazyFrame,
    tables: Sequence[Table],
) -> pl.DataFrame:
    """A decision in the order of the tables, whose rows it decides on; what it says of rows that
    are not there is left out, or a `PluginError`."""
    refuse_unfit_decision(operator, summaries, decision)
    ids = summaries.select("id").with_row_index(ROW)
    said_of = ids.join(decision.lazy().select("id"), on="id", how="semi")
    rows = said_of.group_by("id").agg(pl.col(ROW).min()).collect(engine="streaming")
    placed = decision.join(rows, on="id", maintain_order="left")
    ends = np.cumsum([facts["rows"] for _, facts in tables])
    table = np.searchsorted(ends, placed[ROW].to_numpy(), side="right")
    return placed.drop(ROW)[np.argsort(table, kind="stable")]
