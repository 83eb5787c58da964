"""Raw rows into batches of one schema, and what does not fit into quarantine."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
import polars as pl

from datachef.core.chat import MESSAGES, with_reading
from datachef.core.formats import Format, RowError
from datachef.core.source import RawRow, Source, Unit

RESERVED = ("id", "source", "text", "messages", "tokens")
SAMPLE_ROWS = 200
SAMPLE_BYTES = 4_000_000
REJECT_CHARACTERS = 2_000

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
        for raw in islice(source.read(unit), SAMPLE_ROWS):
            size += raw.size
            if raw.data is not None:
                rows.append(raw.data)
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
                kinds.add(_KINDS.get(type(value), "json"))
    return {name: _common(kinds) for name, kinds in seen.items() if name not in set(used)}


def _common(kinds: set[str]) -> str:
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else "json"


def stored_name(name: str) -> str:
    """The column in which a field is kept: reserved names are taken."""
    return f"original_{name}" if name in RESERVED else name


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
        self._quarantine: list[dict[str, Any]] = []

    def batches(self, rows: Iterable[RawRow], batch_bytes: int) -> Iterator[pl.DataFrame]:
        """Batches of at most about `batch_bytes` of text, in order."""
        kept: list[tuple[RawRow, Any]] = []
        size = 0
        for raw in rows:
            self.rows_in += 1
            self.bytes_in += raw.size
            self.lines = max(self.lines, raw.line)
            if raw.data is None:
                self._fail(raw, raw.reason, raw.detail)
                continue
            try:
                kept.append((raw, self.format.convert(raw.data)))
            except RowError as error:
                self._fail(raw, error.reason, str(error))
                continue
            size += raw.size
            if size >= batch_bytes:
                yield self._frame(kept)
                kept, size = [], 0
        if kept:
            yield self._frame(kept)

    def quarantine(self) -> pl.DataFrame:
        """The rows that were put aside since the last call, in the schema of rejects."""
        rows, self._quarantine = self._quarantine, []
        return pl.DataFrame(rows, schema=REJECTS)

    def _frame(self, kept: list[tuple[RawRow, Any]]) -> pl.DataFrame:
        kept = self._fitting(kept)
        content = [value for _, value in kept]
        conversational = self.format.conversational
        frame = pl.DataFrame(
            {"messages": pl.Series(content, dtype=MESSAGES, strict=True)}
            if conversational
            else {"text": pl.Series(content, dtype=pl.String)}
        )
        frame = with_reading(frame) if conversational else frame
        prefix = f"{self.name}/{self.unit.name}:"
        ids = [
            f"{prefix}{raw.position}-{zlib.crc32(text.encode()):08x}"
            for (raw, _), text in zip(kept, frame["text"], strict=True)
        ]
        columns = [pl.Series("id", ids, dtype=pl.String)]
        columns.append(pl.repeat(self.name, len(kept), dtype=pl.String, eager=True).alias("source"))
        for field, kind in self.kinds.items():
            values = [_stored(raw.data.get(field), kind) for raw, _ in kept if raw.data is not None]
            columns.append(pl.Series(stored_name(field), values, dtype=_DTYPES[kind], strict=False))
        names = set().union(*(raw.data for raw, _ in kept if raw.data is not None)) - self._known
        for name in names:
            self.ignored[name] += sum(1 for raw, _ in kept if raw.data and name in raw.data)
        return pl.DataFrame(columns[:2]).hstack(frame).hstack(columns[2:])

    def _fitting(self, kept: list[tuple[RawRow, Any]]) -> list[tuple[RawRow, Any]]:
        misfits: dict[int, str] = {}
        for field, kind in self.kinds.items():
            if kind == "json":
                continue
            fits = _FITS[kind] | {type(None)}
            values = [raw.data.get(field) if raw.data else None for raw, _ in kept]
            if set(map(type, values)) <= fits and not (kind == "int" and _overflows(values)):
                continue
            for index, value in enumerate(values):
                if type(value) not in fits or (kind == "int" and _overflows([value])):
                    misfits.setdefault(index, f"{field!r} is not {kind}, as it is elsewhere")
        for index, detail in misfits.items():
            self._fail(kept[index][0], "schema_mismatch", detail)
        return (
            [pair for index, pair in enumerate(kept) if index not in misfits] if misfits else kept
        )

    def _fail(self, raw: RawRow, reason: str, detail: str) -> None:
        self.failed[reason] += 1
        shown = orjson.dumps(raw.data, default=str).decode() if raw.data is not None else ""
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


def _overflows(values: Iterable[Any]) -> bool:
    return any(v is not None and not -(2**63) <= v < 2**63 for v in values)


def _stored(value: Any, kind: str) -> Any:
    if kind == "json" and value is not None:
        return orjson.dumps(value, default=str).decode()
    return value
