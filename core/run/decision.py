"""Decides on the rows of a corpus, from the summaries of all partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
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
from datachef.core.errors import RunError
from datachef.core.registry.promises import ask
from datachef.core.run.ledger import Entry
from datachef.core.run.stage import DecisionWork
from datachef.core.run.steps import ROW, CorpusStep
from datachef.core.run.store import Store

Scan = Callable[[], pl.LazyFrame]
# Compressed; a corpus of millions of rows has more, and is merged on disk.
IN_MEMORY_BYTES = 64 * 2**20
MOST_FILES = 32


def decide(item: DecisionWork, step: CorpusStep, store: Store) -> dict[str, Any]:
    """The record of a decision, whose table is left in the store."""
    operator = step.operator
    tables = []
    passing = False
    for key in item.summaries:
        record = store.awaited(key)
        if record is None:
            raise RunError(f"the rows before {step.path} are gone from the cache", "run again")
        passing = passing or bool(record.get("passing"))
        if record["summary"]:
            tables.append((key, record["summary"]))
    pieces = DividedDecision([pl.DataFrame()], {})
    mixed: dict[str, Any] = {}
    references = set(item.references)
    compared = sum(facts["rows"] for key, facts in tables if key in references)
    with store.scratch_folder() as folder:
        context = Context(item.seed, item.sources, compared, _made(folder / "decision"))
        if tables:
            merging = merged(store, tables, _made(folder / "merged"))
            with step.located(), merging as summaries:
                decision = frame_of(ask(operator, "resolve", summaries, context), "resolve()")
                refuse_unfit_decision(operator, summaries, decision)
                if isinstance(operator, MixOperator):
                    mixed = _mixed(operator, summaries, decision, item.sources)
                pieces = divided(operator, decision, summaries, tables)
    facts = store.write_pieces(item.key, "decision.parquet", pieces.tables)
    entry = Entry(step.path, operator.op, counted=context.counted)
    return {
        "key": item.key,
        "files": [facts],
        "pieces": pieces.numbers,
        "ledger": [entry.to_data()] if context.counted else [],
        "passing": passing,
        **mixed,
    }


def decided_of(store: Store, decision: str, partition: str) -> pl.DataFrame | None:
    """What a decision says of the rows that a partition left, both by their keys; None where the
    decision is gone."""
    record = store.awaited(decision)
    if record is None:
        return None
    number = record["pieces"].get(partition, 0)
    return store.read(decision, record["files"][0]["pieces"][number])


def _mixed(
    mix: MixOperator, summaries: pl.LazyFrame, decision: pl.DataFrame, sources: tuple[str, ...]
) -> dict[str, Any]:
    """What the record of a mix adds: the sizes of the sources before it, and the most copies that
    it takes of a row of each. Where a mix has summaries of another form, sizes are unknown, and the
    most copies of any row hold for all sources."""
    repeated = frame_of(decision, "resolve()", "id", "copies").filter(pl.col("copies") > 1)
    if not {"source", "size"} <= set(summaries.collect_schema()):
        most = int(repeated["copies"].max()) if repeated.height else 1  # type: ignore[arg-type]
        return {"copies": dict.fromkeys(sources, most)}
    sizes = ask(mix, "sizes", summaries, sources)
    copies = dict.fromkeys(sizes, 1)
    if repeated.height:
        owners = summaries.select("id", "source").join(repeated.lazy(), on="id")
        by_source = owners.group_by("source").agg(pl.col("copies").max()).collect()
        copies |= dict(by_source.select("source", "copies").iter_rows())
    return {
        "sizes": {name: [size.rows, size.tokens] for name, size in sizes.items()},
        "copies": copies,
    }


class DividedDecision(NamedTuple):
    """A decision in parts, and the number of that on the rows of each partition, by its key.

    The first part is for all partitions that are not named.
    """

    tables: list[pl.DataFrame]
    numbers: dict[str, int]


def divided(
    operator: CorpusOperator,
    decision: pl.DataFrame,
    summaries: pl.LazyFrame,
    tables: Sequence[tuple[str, Mapping[str, Any]]],
) -> DividedDecision:
    """A decision as the rows are divided that were summarized in tables, by key and facts; whole
    where it does not say of which row it says something. What it says of other rows is left out."""
    schema = summaries.collect_schema()
    if not operator.decides_by_row or schema.get("id") != pl.String or "id" not in decision.columns:
        return DividedDecision([decision], {})
    ids = summaries.select("id").with_row_index(ROW)
    said_of = ids.join(decision.lazy().select("id"), on="id", how="semi")
    rows = said_of.group_by("id").agg(pl.col(ROW).min()).collect(engine="streaming")
    placed = decision.join(rows, on="id", maintain_order="left")
    ends = np.cumsum([facts["rows"] for _, facts in tables])
    table = np.searchsorted(ends, placed[ROW].to_numpy(), side="right")
    order = np.argsort(table, kind="stable")
    said = placed.drop(ROW)[order]
    numbers, starts = np.unique(table[order], return_index=True)
    parts = [said[a:b] for a, b in pairwise([*starts.tolist(), said.height])]
    keys = {tables[number][0]: place for place, number in enumerate(numbers.tolist(), 1)}
    return DividedDecision([decision.clear(), *parts], keys)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def merged(
    store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]], folder: Path
) -> Iterator[pl.LazyFrame]:
    """Tables of the store, by key and facts, one after the other in their order.

    Little is read at once; much is merged into ever larger files of `folder` first, with at most
    `MOST_FILES` of them open, however many there are.
    """
    if sum(facts.get("bytes", 0) for _, facts in tables) <= IN_MEMORY_BYTES:
        yield pl.concat([store.read(key, facts) for key, facts in tables]).lazy()
        return
    scans: list[Scan] = [partial(store.scan, key, facts) for key, facts in tables]
    level = 0
    while len(scans) > MOST_FILES:
        scans = _fewer(scans, _made(folder / str(level)))
        level += 1
    yield pl.concat([scan() for scan in scans])


def _fewer(scans: Sequence[Scan], folder: Path) -> list[Scan]:
    """Every `MOST_FILES` tables merged into one."""
    larger: list[Scan] = []
    for start in range(0, len(scans), MOST_FILES):
        file = folder / f"{start}.parquet"
        group = [scan() for scan in scans[start : start + MOST_FILES]]
        pl.concat(group).sink_parquet(file, compression="lz4")
        larger.append(partial(pl.scan_parquet, file))
    return larger
