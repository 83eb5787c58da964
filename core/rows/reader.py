"""Raw rows into batches of one schema, and what does not fit into quarantine."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import polars as pl

from datachef.core.contracts.filter import DISPLACED
from datachef.core.contracts.source import Partition, RawRow, Source, first_rows
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE, RowError, shortened, words_of
from datachef.core.rows.columns import (
    BOOL,
    FLOAT,
    INT,
    NULL,
    NUMERIC,
    TEXT,
    WIDE,
    common,
    kind_of,
    kinds_of,
    series,
)
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.conversations import TEMPLATE_COLUMNS, turns_column, with_text
from datachef.core.text.formats import Conversation, Format
from datachef.core.text.values import UnsupportedValueError, json_text, plain, text_of

RESERVED = ("id", "source", "text", "messages", "tokens", *TEMPLATE_COLUMNS)
SAMPLE_ROWS = 200
SAMPLE_BYTES = 4_000_000
SAMPLE_FILES = 5
REJECT_CHARACTERS = 2_000
# Fields of a source that become columns without being named; more are left out and reported.
MOST_FIELDS = 5_000
# What a row costs as Python objects, beside its text.
ROW_BYTES = 500

_SCALARS = {type(None), str, bool, int, float}
_MEANING = {BOOL: "true and false", INT: "numbers", FLOAT: "numbers"}

REJECTS = {
    "id": pl.String, "source": pl.String, "step": pl.String, "outcome": pl.String,
    "reason": pl.String, "detail": pl.String, "file": pl.String, "line": pl.Int64,
    "text": pl.String, "signals": pl.String,
}  # fmt: skip
# Of rows that cannot be kept, by their place in the batch: reason and detail.
Misfits = dict[int, tuple[str, str]]


def sample(source: Source, partitions: Sequence[Partition]) -> list[Mapping[str, Any]]:
    """The first rows of a source, and a few of its other files: as little as tells its columns."""
    rows: list[Mapping[str, Any]] = []
    size = 0
    for number, partition in enumerate(partitions):
        for raw in islice(first_rows(source, partition), SAMPLE_ROWS):
            if raw.data is not None:
                rows.append(raw.data)
                size += raw.size
            if len(rows) >= SAMPLE_ROWS or size >= SAMPLE_BYTES:
                break
        if rows:
            return rows + _of_others(source, partitions[number:])
    return rows


def _of_others(source: Source, partitions: Sequence[Partition]) -> list[Mapping[str, Any]]:
    """The first rows of some files after the first, spread over the source."""
    if source.uniform:
        return []
    # of each file its first partition, the last file first
    others = list({partition.name: partition for partition in reversed(partitions)}.values())[:-1]
    chosen = others[:: -(-len(others) // SAMPLE_FILES) or 1]
    return [
        raw.data
        for partition in reversed(chosen)
        for raw in islice(first_rows(source, partition), SAMPLE_ROWS // 10)
        if raw.data is not None
    ]


class Fields(NamedTuple):
    """What some rows show of the fields of a source.

    `kinds` are their types; of those that are text only because of a few rows, `mostly` has the
    type of the others. `unsupported` are the fields that hold nothing but what is not supported
    (images), with what that is.
    """

    kinds: dict[str, str]
    mostly: dict[str, str]
    unsupported: dict[str, str]


def fields_of(rows: Sequence[Mapping[str, Any]], used: Container[str]) -> Fields:
    """The fields of the rows that are not used up by the format."""
    found = Fields({}, {}, {})
    names = dict.fromkeys(name for row in rows for name in row if name not in used)
    for name in islice(names, MOST_FIELDS):
        seen: Counter[str] = Counter()
        problem = ""
        for value in (row.get(name) for row in rows):
            try:
                seen[kind_of(plain(value))] += 1
            except UnsupportedValueError as error:
                problem = str(error)
        if problem and set(seen) <= {NULL}:
            found.unsupported[name] = problem
            continue
        found.kinds[name] = common(seen)
        numbers = NUMERIC & set(seen)
        if found.kinds[name] == TEXT and sum(seen[kind] for kind in numbers) > seen[TEXT]:
            found.mostly[name] = FLOAT if FLOAT in numbers else INT
    return found


def stored_names(fields: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """The column in which each field is kept.

    Reserved names are taken, and a NUL in a name is written `\\0`, as Arrow breaks on it.
    """
    fields = list(fields)
    occupied = {*taken, *RESERVED}
    names = {name for name in fields if "\0" not in name} | occupied
    stored = {}
    for field in fields:
        name = field.replace("\0", "\\0")
        if name in occupied or name != field:
            while name in names:
                name = f"{DISPLACED}{name}"
            names.add(name)
        stored[field] = name
    return stored


def _scalar(value: Any) -> Any:
    value = plain(value)
    return text_of(value) if kind_of(value) == TEXT else value


def _unlike(values: list[Any], kind: str) -> list[int]:
    """Where a column of numbers, or of true and false, holds something else."""
    if common({kind, *kinds_of(values)}) in (kind, INT, FLOAT):
        return []
    allowed = {NULL, kind} if kind == BOOL else {NULL, INT, WIDE, FLOAT}
    if kind == FLOAT or float in map(type, values):
        allowed -= {WIDE}  # which would lose digits beside fractions
    return [index for index, value in enumerate(values) if kind_of(value) not in allowed]


class _Kept(NamedTuple):
    """A row that fits the format, with its content, and the partition that it is of."""

    partition: str
    raw: RawRow
    data: Mapping[str, Any]
    content: Any


def length(content: str | Conversation) -> int:
    """About how much text there is in the content of a row, which may be more than was read."""
    if isinstance(content, str):
        return len(content)
    return sum(len(turn["content"] or "") for turn in content.turns)


class RowReader:
    """Turns the raw rows of partitions of one source into batches.

    `kinds` are the columns of the source with the types that its first rows show; a column widens
    where a batch holds more. `needs` are the columns that a step or the output names, each with
    the step that reads it, or nothing. Only what is named can fail a row: a number that a step
    reads cannot become text, and nothing named can be left out.

    After the last batch, `rows_in` counts the rows, `lines` the lines read, `failed` the rows in
    quarantine by reason, `skipped` what is no row by what it is, and `ignored` the values that
    nobody asked for and that were left out: of fields that the first rows did not show, or of types
    that are not supported.
    """

    def __init__(
        self,
        name: str,
        row_format: Format,
        kinds: Mapping[str, str],
        needs: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.format = row_format
        self.rows_in = 0
        self.bytes_in = 0
        self.lines = 0
        self.failed: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self._needs = needs or {}
        self._columns = stored_names(kinds)
        self._kinds = kinds
        self._known = set(kinds) | row_format.uses()
        self._quarantine: list[dict[str, Any]] = []

    def batches(
        self, partitions: Iterable[tuple[str, Iterable[RawRow]]], batch_bytes: int
    ) -> Iterator[pl.DataFrame]:
        """Batches of about `batch_bytes` in memory, in order; rows that failed count too.

        The rows of each partition come with its name.
        """
        kept: list[_Kept] = []
        size = 0
        for name, rows in partitions:
            for raw in rows:
                self.bytes_in += raw.size
                self.lines = max(self.lines, raw.line)
                if raw.data is None and not raw.reason:
                    if raw.detail:
                        self.skipped[raw.detail] += 1
                    continue
                self.rows_in += 1
                try:
                    if raw.data is None:
                        raise RowError(raw.reason, raw.detail)
                    content = self.format.convert(raw.data)
                    made = max(raw.size, length(content))
                    if made > MAX_ROW_BYTES:
                        raise RowError(ROW_TOO_LARGE, f"a row of {made:,} bytes")
                    kept.append(_Kept(name, raw, raw.data, content))
                    size += made + ROW_BYTES
                except RowError as error:
                    raise_environment_failure(error)
                    self._fail(name, raw, error.reason, words_of(error))
                    size += min(raw.size, MAX_ROW_BYTES) + ROW_BYTES
                if size >= batch_bytes:
                    yield self._frame(kept)
                    kept, size = [], 0
        if kept:
            yield self._frame(kept)

    def quarantine(self) -> pl.DataFrame:
        """The rows that were put aside since the last call, in the schema of rejects."""
        rows, self._quarantine = self._quarantine, []
        return pl.DataFrame(rows, schema=REJECTS)

    def _frame(self, kept: list[_Kept]) -> pl.DataFrame:
        kept, others = self._others(kept)
        content = [row.content for row in kept]
        if self.format.conversational:
            frame = with_text(turns_column([row.turns for row in content]).to_frame())
            frame = frame.with_columns(
                pl.Series(name, [getattr(row, name) for row in content], dtype=pl.String)
                for name in TEMPLATE_COLUMNS
            )
        else:
            frame = pl.DataFrame({"text": pl.Series(content, dtype=pl.String)})
        ids = [
            f"{self.name}/{row.partition}:{row.raw.position}-{zlib.crc32(text.encode()):08x}"
            for row, text in zip(kept, frame["text"], strict=True)
        ]
        columns = [pl.Series("id", ids, dtype=pl.String)]
        columns.append(pl.repeat(self.name, len(kept), dtype=pl.String, eager=True).alias("source"))
        columns += frame.get_columns() + others
        return pl.DataFrame({column.name: column for column in columns})  # a name may be empty

    def _others(self, kept: list[_Kept]) -> tuple[list[_Kept], list[pl.Series]]:
        """The rows that can be kept, and their columns beside the content."""
        columns = self._columns | self._late(kept)
        values: dict[str, list[Any]] = {}
        misfits: Misfits = {}
        for field, name in columns.items():
            values[field] = self._values(field, name, kept, misfits)
        for index, (reason, detail) in misfits.items():
            self._fail(kept[index].partition, kept[index].raw, reason, detail)
        if misfits:
            fine = [index for index in range(len(kept)) if index not in misfits]
            kept = [kept[index] for index in fine]
            values = {field: [v[index] for index in fine] for field, v in values.items()}
        return kept, [
            series(
                name,
                values[field],
                common({self._kinds.get(field, NULL), *kinds_of(values[field])}),
            )
            for field, name in columns.items()
        ]

    def _late(self, kept: list[_Kept]) -> dict[str, str]:
        """Fields that the first rows did not show: those that are named are kept."""
        late: Counter[str] = Counter()
        for row in kept:
            late.update(row.data.keys() - self._known)
        names = stored_names(late, taken=self._columns.values())
        wanted = {field: names[field] for field in sorted(late) if names[field] in self._needs}
        self.ignored.update({field: n for field, n in late.items() if field not in wanted})
        return wanted

    def _values(self, field: str, name: str, kept: list[_Kept], misfits: Misfits) -> list[Any]:
        """A field of all rows as numbers, text and nothing else; rows that cannot be kept with it
        are told in `misfits`."""
        values = [row.data.get(field) for row in kept]
        if not set(map(type, values)) <= _SCALARS:
            for index, value in enumerate(values):
                try:
                    values[index] = _scalar(value)
                except UnsupportedValueError as error:
                    values[index] = None
                    if name in self._needs:
                        misfits[index] = ("unsupported_value", f"{field!r} holds {error}")
                    else:
                        self.ignored[field] += 1
        kind = self._kinds.get(field, NULL)
        if self._needs.get(name) and kind in _MEANING:
            for index in _unlike(values, kind):
                detail = (
                    f"{field!r} is {shortened(values[index])}, where {self._needs[name]} reads "
                    f"{_MEANING[kind]}"
                )
                misfits.setdefault(index, ("schema_mismatch", detail))
        return values

    def _fail(self, partition: str, raw: RawRow, reason: str, detail: str) -> None:
        self.failed[reason] += 1
        shown = ""
        if raw.data is not None:
            with suppress(UnsupportedValueError):
                shown = json_text(raw.data)
        self._quarantine.append(
            {
                "id": f"{self.name}/{partition}:{raw.position}",
                "source": self.name,
                "step": f"sources.{self.name}",
                "outcome": "failed",
                "reason": reason,
                "detail": detail[:REJECT_CHARACTERS],
                "file": partition,
                "line": raw.line or None,
                "text": shown[:REJECT_CHARACTERS],
                "signals": "",
            }
        )
