"""Runs one partition of a stage: rows in, rows out in Parquet, everything else in the record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from datachef.core.contracts.accounting import frame_of
from datachef.core.contracts.corpus import ORDER, CorpusOperator
from datachef.core.contracts.source import (
    LOST,
    BrokenFileError,
    Partition,
    RawRow,
    Source,
    read_unchanged,
)
from datachef.core.errors import PluginError, RunError
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.rows.columns import concat, kinds_in
from datachef.core.rows.reader import REJECT_CHARACTERS, REJECTS, RowReader
from datachef.core.rows.stored_conversations import described
from datachef.core.run.executor import BuiltSource, BuiltStage, OnProgress
from datachef.core.run.ledger import BrokenFile, Entry, Ledger
from datachef.core.run.observations import TOKENS, Observations
from datachef.core.run.output import OUTPUT, cut, finished_rows, numbers, places
from datachef.core.run.pipeline import StepPipeline, broken_rows, safely
from datachef.core.run.signals import SignalCache, TextMemory
from datachef.core.run.stage import OutputSpec, PartitionWork, key_of
from datachef.core.run.steps import ROW, CorpusStep
from datachef.core.run.store import Store
from datachef.core.run.time_limit import TIME_LIMIT, TimeLimit
from datachef.core.system.child_process import ACTIVITY
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.paths import verify_files

# A part of a file (8 MiB) is one batch, with what counts for each row besides its text: a second,
# small one would cost every step of the chain its fixed time again.
BATCH_BYTES = 10 * 2**20
PART_BYTES = 32 * 2**20
_READING = "reading"


class PartitionRun:
    """One run of one partition; use `run` once."""

    def __init__(
        self,
        item: PartitionWork,
        stage: BuiltStage,
        store: Store,
        progress: OnProgress,
        texts: TextMemory | None,
        limit: TimeLimit,
    ) -> None:
        self._texts = texts
        self._limit = limit
        self._item = item
        self._stage = stage
        self._store = store
        self._progress = progress
        self._ledger = Ledger()
        self._rejects: list[pl.DataFrame] = []
        self._kept_rejects: Counter[tuple[str, str]] = Counter()
        self._parts: list[dict[str, Any]] = []
        self._pending: list[pl.DataFrame] = []
        self._summaries: list[pl.DataFrame] = []
        self._extra: dict[str, Any] = {}
        # A run that keeps no rejected rows, such as one that is tried in passing, is not looked at.
        self._observations = None if item.stage.rejects == 0 else Observations()
        self._tokens = TokenCounter(item.stage.tokenizer, item.stage.chat)

    def run(self) -> dict[str, Any]:
        """Leaves the partition's files and record in the store, and returns the record."""
        verify_files(self._item.stage.files)
        kept = None if self._is_passing(self._item.parent) else self._item.input
        signals = SignalCache(self._store, kept, self._stage.steps, self._texts)
        pipeline = StepPipeline(
            self._stage.steps, signals, self._reject, self._limit, self._observations
        )
        ACTIVITY.begin(_READING)
        for batch in self._batches(max(1, BATCH_BYTES // self._most_copies())):
            rows = pipeline.run(batch)
            self._leave(rows)
            self._progress(0, rows.height)
            ACTIVITY.begin(_READING)
        ACTIVITY.begin("writing")
        self._flush()
        verify_files(self._item.stage.files)
        if not self._failed_in_passing([*self._ledger, *pipeline.ledger]):
            signals.finish()
        self._extra["signals"] = signals.keys
        return self._finish(pipeline)

    def _most_copies(self) -> int:
        """How often the first step of the stage repeats a row of this source, at most."""
        steps = self._item.stage.steps
        return self._copies(steps[0].decision) if steps else 1

    def _copies(self, mix: str | None) -> int:
        """How often a mix takes a row of this source, at most; 1 where the decision is no mix's."""
        record = self._store.record(mix) if mix is not None else None
        copies: Mapping[str, int] = (record or {}).get("copies", {})
        return copies.get(self._item.source, 1)

    def _batches(self, batch_bytes: int) -> Iterator[pl.DataFrame]:
        if self._stage.source is not None and self._item.partitions:
            yield from self._read(self._stage.source, batch_bytes)
            return
        parent = self._item.parent
        record = self._store.awaited(parent) if parent else None
        if parent is None or record is None:
            raise RunError(
                f"the rows before {self._item.label} are gone from the cache", "run again"
            )
        for facts in record["parts"]:
            frame = self._store.read(parent, facts)
            for batch in bounded(frame, batch_bytes):
                self._progress(int(batch.estimated_size()), 0)
                yield batch

    def _read(self, built: BuiltSource, batch_bytes: int) -> Iterator[pl.DataFrame]:
        spec = built.spec
        reader = RowReader(spec.name, built.format, spec.kinds, spec.needs)
        entry = self._ledger.entry(f"sources.{spec.name}", "read")
        seen = 0
        started = time.perf_counter()
        rows = (
            (partition.name, self._until_broken(built.source, partition, reader, entry))
            for partition in self._item.partitions
        )
        for batch in reader.batches(rows, batch_bytes):
            self._keep(reader.quarantine())
            entry.rows_out += batch.height
            entry.tokens += self._total(entry, self._tokens.count_rows(batch))
            self._progress(reader.bytes_in - seen, 0)
            seen = reader.bytes_in
            entry.seconds += time.perf_counter() - started
            yield batch
            started = time.perf_counter()
        self._keep(reader.quarantine())
        entry.rows_in, entry.failed = reader.rows_in, reader.failed
        entry.counted.update({f"skipped: {what}": n for what, n in reader.skipped.items()})
        self._extra |= {"lines": reader.lines, "ignored": dict(reader.ignored)}

    def _until_broken(
        self, source: Source, partition: Partition, reader: RowReader, entry: Entry
    ) -> Iterator[RawRow]:
        """The rows of a partition, as far as its file can be read."""
        before = reader.rows_in - reader.failed[LOST]
        try:
            yield from read_unchanged(source, partition)
        except BrokenFileError as error:
            raise_environment_failure(error, partition.name)
            entry.broken[partition.name] = BrokenFile(
                partition.name,
                partition.size,
                error.bytes_read,
                reader.rows_in - reader.failed[LOST] - before,
                f"{error}: {error.hint}" if error.hint else str(error),
                error.passing,
            )

    def _leave(self, rows: pl.DataFrame) -> None:
        if self._item.stage.output is not None:
            rows = self._as_output(rows, self._item.stage.output)
        if self._stage.summarizes_for is not None and rows.height:
            rows = self._summarize(rows, self._stage.summarizes_for)
        self._pending.append(rows)
        if sum(frame.estimated_size() for frame in self._pending) >= PART_BYTES:
            self._flush()

    def _as_output(self, rows: pl.DataFrame, output: OutputSpec) -> pl.DataFrame:
        entry = self._ledger.entry("output", OUTPUT)
        entry.rows_in += rows.height
        tokens = self._tokens.count_rows(rows)
        written, failed = finished_rows(rows.with_columns(tokens.alias("tokens")), output)
        entry.tokens += self._total(entry, written["tokens"])
        entry.rows_out += written.height
        if failed is not None:
            entry.failed.update(dict(failed["reason"].value_counts().iter_rows()))
            self._reject("output", "failed", failed)
        return written if "tokens" in output.columns else written.drop("tokens")

    def _total(self, entry: Entry, tokens: pl.Series) -> int:
        if self._observations is not None:
            self._observations.measured(entry.path, TOKENS, tokens)
        return int(tokens.sum())

    def _summarize(self, rows: pl.DataFrame, step: CorpusStep) -> pl.DataFrame:
        """Takes the summaries of the rows; a row that breaks the operator fails and is left out."""
        operator = step.operator
        needed = rows
        if "tokens" in operator.reads() and "tokens" not in rows.columns:
            needed = rows.with_columns(self._tokens.count_rows(rows).alias("tokens"))
        started = time.perf_counter()
        with step.located():
            summaries, broken = safely(
                needed,
                lambda part, _: summarized(step, part, self._texts),
                self._limit,
                step,
            )
        self._summaries += summaries
        entry = self._ledger.entry(step.path, operator.op)
        entry.seconds += time.perf_counter() - started
        if not broken:
            return rows
        entry.rows_in += len(broken)
        entry.failed.update(reason for _, reason, _ in broken)
        self._reject(step.path, "failed", broken_rows(rows, broken))
        return rows.filter(~pl.int_range(rows.height, eager=True).is_in([b.place for b in broken]))

    def _flush(self) -> None:
        pending = [frame for frame in self._pending if frame.height]
        self._pending = []
        if pending:
            frame = concat(pending).rechunk()
            frame, place = self._placed(frame)
            facts = self._written(f"{len(self._parts)}.parquet", frame, place)
            schema = described(frame)
            kinds = {column.name: sorted(kinds_in(column)) for column in frame}
            size = int(frame.estimated_size())
            self._parts.append(facts | {"schema": schema, "kinds": kinds, "memory": size})

    def _placed(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series | None]:
        """The rows as they are kept, and of the output the place of each in its order."""
        output = self._item.stage.output
        if output is None or output.order is None:
            return frame, None
        order = output.order
        if not order.placed:
            return frame, numbers(frame["id"], order.seed, self._copies(order.mix))
        place = places(frame[ORDER])
        return (frame if ORDER in output.columns else frame.drop(ORDER)), place

    def _written(self, suffix: str, frame: pl.DataFrame, place: pl.Series | None) -> dict[str, Any]:
        """What the record says of a table that is kept; one of the output is cut by its order."""
        output = self._item.stage.output
        if output is None or output.order is None or place is None:
            return self._store.write(self._item.key, suffix, frame)
        ranges = output.order.ranges
        return self._store.write_pieces(self._item.key, suffix, cut(frame, place, ranges))

    def _finish(self, pipeline: StepPipeline) -> dict[str, Any]:
        files = list(self._parts)
        summary = None
        if self._summaries:
            table = self._joined_summaries()
            summary = self._store.write(self._item.key, "summary.parquet", table)
            files.append(summary)
        rejects = None
        if self._rejects:
            table = pl.concat(self._rejects)
            rejects = self._store.write(self._item.key, "rejects.parquet", table)
            files.append(rejects)
        observed: dict[str, Any] = {}
        for name, table in (self._observations.tables() if self._observations else {}).items():
            if table.height:
                observed[name] = self._store.write(self._item.key, f"{name}.parquet", table)
        files += observed.values()
        entries = [*self._ledger, *pipeline.ledger]
        record = {
            "key": self._item.key,
            "label": self._item.label,
            "files": files,
            "parts": self._parts,
            "summary": summary,
            "rejects": rejects,
            "observed": observed,
            "ledger": [entry.to_data() for entry in _ordered(entries)],
            "passing": self._failed_in_passing(entries),
            **self._extra,
        }
        return dict(self._store.finish(self._item.key, record))

    def _failed_in_passing(self, entries: list[Entry]) -> bool:
        """Whether another try may have another result: here, or of what this was made from."""
        passing = {step.path: step.operator.transient for step in self._stage.all_steps}
        return (
            any(TIME_LIMIT in e.failed for e in entries)
            or any(not passing.get(e.path, frozenset()).isdisjoint(e.failed) for e in entries)
            or any(file.passing for entry in entries for file in entry.broken.values())
            or self._is_passing(self._item.parent)
            or any(self._is_passing(step.decision) for step in self._item.stage.steps)
        )

    def _is_passing(self, key: str | None) -> bool:
        return key is not None and bool((self._store.record(key) or {}).get("passing"))

    def _joined_summaries(self) -> pl.DataFrame:
        try:
            return pl.concat(self._summaries, how="vertical_relaxed", rechunk=True)
        except pl.exceptions.PolarsError as error:
            message = f"{self._stage.summarizes_for}: summarize() gave tables that differ: {error}"
            raise PluginError(message, "the same columns and types for every batch") from error

    def _reject(
        self,
        path: str,
        outcome: str,
        rows: pl.DataFrame,
        signals: Callable[[], pl.Series] | None = None,
    ) -> None:
        if self._item.stage.rejects == 0:
            return
        has_detail = rows.schema.get("detail") == pl.String
        detail = pl.col("detail") if has_detail else pl.lit("")
        self._keep(
            rows.select(
                "id",
                "source",
                pl.lit(path).alias("step"),
                pl.lit(outcome).alias("outcome"),
                "reason",
                detail.alias("detail"),
                pl.lit(None, pl.String).alias("file"),
                pl.lit(None, pl.Int64).alias("line"),
                pl.col("text").str.slice(0, REJECT_CHARACTERS),
                pl.lit("" if signals is None else signals()).alias("signals"),
            ).cast(REJECTS)  # type: ignore[arg-type]
        )

    def _keep(self, rejects: pl.DataFrame) -> None:
        """Keeps the first rejected rows for each step and reason, up to the limit."""
        limit = self._item.stage.rejects
        if limit == 0 or rejects.height == 0:
            return
        if limit is not None:
            kept = []
            for (step, reason), rows in rejects.group_by("step", "reason", maintain_order=True):
                room = limit - self._kept_rejects[str(step), str(reason)]
                self._kept_rejects[str(step), str(reason)] += min(room, rows.height)
                kept.append(rows.head(max(room, 0)))
            rejects = pl.concat(kept)
        self._rejects.append(rejects)


def bounded(frame: pl.DataFrame, limit: int) -> Iterator[pl.DataFrame]:
    """The frame in slices of about `limit` bytes of text, each at least one row."""
    sizes = frame["text"].str.len_bytes().cast(pl.Int64).cum_sum()
    start = 0
    while start < frame.height:
        before = int(sizes[start - 1]) if start else 0
        stop = int(sizes.search_sorted(before + limit, side="left")) + 1
        yield frame[start:stop]
        start = stop


def _ordered(entries: list[Entry]) -> list[Entry]:
    """The entries of a partition as the rows met them: reading first, the output last."""
    rank = {"read": 0, OUTPUT: 2}
    return sorted(entries, key=lambda entry: rank.get(entry.op, 1))


def summarized(step: CorpusStep, rows: pl.DataFrame, texts: TextMemory | None) -> pl.DataFrame:
    """The summary of the rows by the operator of a step; of texts that are known, as it was.

    That is possible for an operator that reads nothing but `text` and gives a row for every row.
    """
    operator = step.operator
    if texts is None or operator.reads() != {"text"}:
        return _summarize(operator, rows)
    key = key_of("summary", step.identity)
    numbers = pl.int_range(rows.height, dtype=pl.UInt32, eager=True).alias(ROW)
    index = pl.DataFrame([numbers, rows["text"]])
    known = texts.recall(key, index)
    missing = numbers if known is None else numbers.filter(~numbers.is_in(known[ROW].implode()))
    if len(missing) == 0 and known is not None:
        found = known
    else:
        fresh = _summarize(operator, rows[missing])
        if fresh.columns[:1] != ["id"] or not fresh["id"].equals(rows["id"][missing]):
            return _summarize(operator, rows)
        fresh = missing.to_frame().hstack(fresh.drop("id"))
        texts.remember(key, index, fresh)
        found = fresh if known is None else pl.concat([known, fresh])
    return rows.select("id").hstack(found.sort(ROW).drop(ROW))


def _summarize(operator: CorpusOperator, rows: pl.DataFrame) -> pl.DataFrame:
    return frame_of(operator.summarize(rows.clone()), "summarize()")
