"""Raw rows into batches of one schema, and what does not fit into quarantine."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import orjson
import polars as pl

from datachef.core.chat import TEMPLATE_COLUMNS, stored, with_reading
from datachef.core.errors import RowError
from datachef.core.formats import Format
from datachef.core.source import RawRow, Source, Unit, first_rows

RESERVED = ("id", "source", "text", "messages", "tokens", *TEMPLATE_COLUMNS)
SAMPLE_ROWS = 200
SAMPLE_BYTES = 4_000_000
REJECT_CHARACTERS = 2_000
# What a row costs as Python objects, beside its text.
ROW_BYTES = 500

_KINDS: dict[type, str] = {str: "string", bool: "bool", int: "int", float: "float"}
_DTYPES = {
    "string": pl.String(),
    "bool": pl.Boolean(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "json": pl.String(),
}
_FITS: dict[str, set[type]] = {
    "string": {str},
    "bool": {bool},
    "int": {int},
    "float": {float, int},
}

REJECTS = {
    "id": pl.String, "source": pl.String, "step": pl.String, "outcome": pl.String,
    "reason": pl.String, "detail": pl.String, "file": pl.String, "line": pl.Int64,
    "text": pl.String,
}  # fmt: skip


def sample(source: Source, units: Sequence[Unit]) -> list[Mapping[str, Any]]:
    """The first rows of a source: as little as tells its columns."""
    rows: list[Mapping[str, Any]] = []
    size = 0
    for unit in units:
        for raw in islice(first_rows(source, unit), SAMPLE_ROWS):
            if raw.data is not None:
                rows.append(raw.data)
                size += raw.size
            if len(rows) >= SAMPLE_ROWS or size >= SAMPLE_BYTES:
                return rows
        if rows:
            return rows
    return rows


def column_kinds(rows: Iterable[Mapping[str, Any]], used: Iterable[str]) -> dict[str, str]:
    """The kind of every column that is not used up by the format.

    Values of several kinds, lists and objects are kept as JSON text, in which nothing is lost.
    """
    seen: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            kinds = seen.setdefault(name, set())
            if value is not None:
                kinds.add("json" if _overflows(value) else _KINDS.get(type(value), "json"))
    return {name: _common(kinds) for name, kinds in seen.items() if name not in set(used)}


def _common(kinds: set[str]) -> str:
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else "json"


def stored_name(name: str, fields: Container[str]) -> str:
    """The column in which one of several fields is kept: reserved names are taken."""
    if name not in RESERVED:
        return name
    stored = f"original_{name}"
    while stored in fields:
        stored = f"original_{stored}"
    return stored


class _Kept(NamedTuple):
    """A row that fits the format: its content, and its nested fields as JSON text."""

    raw: RawRow
    data: Mapping[str, Any]
    content: Any
    nested: Mapping[str, str | None]


class Intake:
    """Turns the raw rows of one unit into batches.

    After the last batch, `rows_in` counts the rows, `lines` the lines read, `failed` the rows in
    quarantine by reason, and `ignored` the values of fields that the schema sample did not show.
    """

    def __init__(self, name: str, unit: Unit, row_format: Format, kinds: Mapping[str, str]) -> None:
        self.name = name
        self.unit = unit
        self.format = row_format
        self.kinds = kinds
        self.rows_in = 0
        self.bytes_in = 0
        self.lines = 0
        self.failed: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self._known = set(kinds) | row_format.uses()
        self._nested = [name for name, kind in kinds.items() if kind == "json"]
        self._quarantine: list[dict[str, Any]] = []

    def batches(self, rows: Iterable[RawRow], batch_bytes: int) -> Iterator[pl.DataFrame]:
        """Batches of about `batch_bytes` in memory, in order; rows that failed count too."""
        kept: list[_Kept] = []
        size = 0
        for raw in rows:
            self.bytes_in += raw.size
            self.lines = max(self.lines, raw.line)
            if raw.data is None and not raw.reason:
                continue
            self.rows_in += 1
            try:
                kept.append(self._converted(raw))
            except RowError as error:
                self._fail(raw, error.reason, str(error))
            size += raw.size + ROW_BYTES
            if size >= batch_bytes:
                yield self._frame(kept)
                kept, size = [], 0
        if kept:
            yield self._frame(kept)

    def quarantine(self) -> pl.DataFrame:
        """The rows that were put aside since the last call, in the schema of rejects."""
        rows, self._quarantine = self._quarantine, []
        return pl.DataFrame(rows, schema=REJECTS)

    def _converted(self, raw: RawRow) -> _Kept:
        if raw.data is None:
            raise RowError(raw.reason, raw.detail)
        content = self.format.convert(raw.data)
        nested = {name: _json(name, raw.data.get(name)) for name in self._nested}
        return _Kept(raw, raw.data, content, nested)

    def _frame(self, kept: list[_Kept]) -> pl.DataFrame:
        kept = self._fitting(kept)
        content = [row.content for row in kept]
        if self.format.conversational:
            frame = with_reading(stored([row.turns for row in content]).to_frame())
            frame = frame.with_columns(
                pl.Series(name, [getattr(row, name) for row in content], dtype=pl.String)
                for name in TEMPLATE_COLUMNS
            )
        else:
            frame = pl.DataFrame({"text": pl.Series(content, dtype=pl.String)})
        prefix = f"{self.name}/{self.unit.name}:"
        ids = [
            f"{prefix}{row.raw.position}-{zlib.crc32(text.encode()):08x}"
            for row, text in zip(kept, frame["text"], strict=True)
        ]
        columns = [pl.Series("id", ids, dtype=pl.String)]
        columns.append(pl.repeat(self.name, len(kept), dtype=pl.String, eager=True).alias("source"))
        columns += frame.get_columns()
        for field, kind in self.kinds.items():
            values = [(row.nested if kind == "json" else row.data).get(field) for row in kept]
            name = stored_name(field, self.kinds)
            columns.append(pl.Series(name, values, dtype=_DTYPES[kind], strict=False))
        for row in kept:
            self.ignored.update(row.data.keys() - self._known)
        return pl.DataFrame(columns)

    def _fitting(self, kept: list[_Kept]) -> list[_Kept]:
        """The rows whose values have the type of their column; the others go to quarantine."""
        misfits: dict[int, str] = {}
        for field, kind in self.kinds.items():
            if kind == "json":
                continue
            fits = _FITS[kind] | {type(None)}
            for index, row in enumerate(kept):
                value = row.data.get(field)
                if type(value) not in fits or _overflows(value):
                    misfits.setdefault(index, f"{field!r} is not {kind}, as it is elsewhere")
        for index, detail in misfits.items():
            self._fail(kept[index].raw, "schema_mismatch", detail)
        return [row for index, row in enumerate(kept) if index not in misfits]

    def _fail(self, raw: RawRow, reason: str, detail: str) -> None:
        self.failed[reason] += 1
        shown = ""
        if raw.data is not None:
            with suppress(RowError):
                shown = _json("", raw.data) or ""
        self._quarantine.append(
            {
                "id": f"{self.name}/{self.unit.name}:{raw.position}",
                "source": self.name,
                "step": f"sources.{self.name}",
                "outcome": "failed",
                "reason": reason,
                "detail": detail[:REJECT_CHARACTERS],
                "file": self.unit.name,
                "line": raw.line or None,
                "text": shown[:REJECT_CHARACTERS],
            }
        )


def _overflows(value: Any) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**63


def _json(name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError as error:
        raise RowError("schema_mismatch", f"{name!r} cannot be kept as JSON: {error}") from error
