"""Rows of the file formats we read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from datachef.core.source import RawRow, Unit
from datachef.plugins.sources.lines import MAX_ROW_BYTES, Line, lines
from datachef.plugins.sources.storage import is_url, opened

Reader = Callable[[Unit], Iterator[RawRow]]

_BOM = b"\xef\xbb\xbf"


def _bad(line: Line, number: int) -> RawRow:
    return RawRow(line.offset, number, line.size, None, line.reason, line.detail)


def read_jsonl(unit: Unit) -> Iterator[RawRow]:
    """One JSON object per line; blank lines are not rows."""
    start, stop = unit.place.get("start", 0), unit.place.get("stop")
    with opened(unit.place["path"]) as stream:
        for number, line in enumerate(lines(stream, start, stop), start=1):
            if line.reason:
                yield _bad(line, number)
                continue
            raw = line.raw.removeprefix(_BOM) if line.offset == 0 else line.raw
            if not raw.strip():
                yield RawRow(line.offset, number, line.size, None)
                continue
            try:
                data = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                reason = "not_json" if _is_utf8(raw) else "not_utf8"
                yield RawRow(line.offset, number, line.size, None, reason, str(error))
                continue
            if isinstance(data, dict):
                yield RawRow(line.offset, number, line.size, data)
            else:
                kind = type(data).__name__
                yield RawRow(
                    line.offset, number, line.size, None, "not_an_object", f"a row is a {kind}"
                )


def read_csv(unit: Unit) -> Iterator[RawRow]:
    """Comma- or tab-separated values under a header line."""
    delimiter = "\t" if unit.place["kind"] == "tsv" else ","
    broken: list[tuple[Line, int]] = []
    csv.field_size_limit(MAX_ROW_BYTES)
    with opened(unit.place["path"]) as stream:
        rows = csv.reader(_decoded(stream, broken), delimiter=delimiter)
        header: list[str] | None = None
        position = 0
        while True:
            first = rows.line_num + 1
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield RawRow(position, first, 0, None, "not_csv", str(error))
                position += 1
                continue
            if row is None:
                break
            position += 1
            if header is None:
                header = [name.removeprefix("\ufeff") for name in row]
            elif row:
                yield _csv_row(position, first, header, row)
        for line, number in broken:
            yield RawRow(-1 - number, number, line.size, None, line.reason, line.detail)


def _decoded(stream: BinaryIO, broken: list[tuple[Line, int]]) -> Iterator[str]:
    for number, line in enumerate(lines(stream), start=1):
        if line.reason:
            broken.append((line, number))
            yield "\n"
        else:
            # a byte that is not UTF-8 becomes a lone surrogate, by which its row is known again
            yield line.raw.decode("utf-8", "surrogateescape").replace("\0", "")


def _csv_row(position: int, line: int, header: list[str], row: list[str]) -> RawRow:
    size = sum(map(len, row))
    if any(not cell.isascii() and not _is_clean(cell) for cell in row):
        return RawRow(position, line, size, None, "not_utf8", "a byte that is not UTF-8")
    if len(row) != len(header):
        detail = f"{len(row)} values under {len(header)} columns"
        return RawRow(position, line, size, None, "schema_mismatch", detail)
    return RawRow(position, line, size, dict(zip(header, row, strict=True)))


def read_text(unit: Unit) -> Iterator[RawRow]:
    """The whole file as one row, or each of its lines, with the text under `text`."""
    with opened(unit.place["path"]) as stream:
        if not unit.place["by_line"]:
            raw = stream.read(MAX_ROW_BYTES + 1)
            if len(raw) > MAX_ROW_BYTES:
                size = unit.size
                yield RawRow(0, 1, size, None, "row_too_large", f"a file of {size:,} bytes")
            else:
                yield _text_row(Line(0, len(raw), raw), 1)
            return
        for number, line in enumerate(lines(stream), start=1):
            if line.reason:
                yield _bad(line, number)
            elif line.raw.strip():
                yield _text_row(line, number)


def _text_row(line: Line, number: int) -> RawRow:
    try:
        text = line.raw.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        return RawRow(line.offset, number, line.size, None, "not_utf8", str(error))
    return RawRow(line.offset, number, line.size, {"text": text.rstrip("\r\n")})


def read_parquet(unit: Unit) -> Iterator[RawRow]:
    """Rows [start, stop) of a Parquet file; row groups outside are not read."""
    import polars as pl

    start, stop = unit.place["start"], unit.place["stop"]
    path = unit.place["path"]
    if is_url(path):
        with opened(path) as stream:
            frame = pl.read_parquet(stream).slice(start, stop - start)
    else:
        frame = pl.scan_parquet(path).slice(start, stop - start).collect()
    for position, row in enumerate(frame.iter_rows(named=True), start=start):
        yield RawRow(position, position - start + 1, _size(row), row)


def _size(row: Mapping[str, Any]) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row.values())


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


READERS: dict[str, Reader] = {
    "jsonl": read_jsonl,
    "ndjson": read_jsonl,
    "json": read_jsonl,
    "csv": read_csv,
    "tsv": read_csv,
    "txt": read_text,
    "md": read_text,
    "parquet": read_parquet,
}
