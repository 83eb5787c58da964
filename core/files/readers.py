"""Rows of the file formats we read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import orjson

from datachef.core.files.lines import MAX_ROW_BYTES, Line, lines
from datachef.core.files.storage import BROKEN, is_url, opened
from datachef.core.source import RawRow, SourceError, Unit, size_of

if TYPE_CHECKING:
    import polars as pl

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
                header = _header(row)
            elif row:
                yield _csv_row(position, first, header, row)
        for line, number in broken:
            yield RawRow(-1 - number, number, line.size, None, line.reason, line.detail)


def _header(row: list[str]) -> list[str]:
    names = [name.encode(errors="surrogateescape").decode(errors="replace") for name in row]
    names[:1] = [name.removeprefix("\ufeff") for name in names[:1]]
    names = [name or f"column_{number}" for number, name in enumerate(names, start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(
            "duplicate_column",
            f"the header names the column {twice!r} twice",
            "has the file no header? give it one",
        )
    return names


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
            yield _whole_file(stream, unit.size)
            return
        for number, line in enumerate(lines(stream), start=1):
            if line.reason:
                yield _bad(line, number)
            elif line.raw.strip():
                yield _text_row(line, number)


def _whole_file(stream: BinaryIO, size: int) -> RawRow:
    try:
        raw = stream.read(MAX_ROW_BYTES + 1)
    except BROKEN as error:
        return RawRow(0, 1, size, None, "broken_file", f"the file cannot be read: {error}")
    if len(raw) > MAX_ROW_BYTES:
        return RawRow(0, 1, size, None, "row_too_large", f"a file of {size:,} bytes")
    return _text_row(Line(0, len(raw), raw), 1)


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
    try:
        frame = scan_parquet(unit.place["path"]).slice(start, stop - start).collect()
    except (pl.exceptions.PolarsError, *BROKEN) as error:
        detail = f"the rows cannot be read: {str(error).splitlines()[0]}"
        for number in range(stop - start):
            yield RawRow(start + number, number + 1, 0, None, "broken_file", detail)
        return
    for number, row in enumerate(frame.iter_rows(named=True)):
        yield RawRow(start + number, number + 1, size_of(row), row)


def scan_parquet(path: str) -> pl.LazyFrame:
    """A Parquet file as a query; one behind a URL is fetched as a whole."""
    import polars as pl

    if not is_url(path):
        return pl.scan_parquet(path, glob=False)
    with opened(path) as stream:
        return pl.scan_parquet(io.BytesIO(stream.read()))


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
