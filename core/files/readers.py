"""Rows of the file formats we read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from datachef.core.contracts.source import (
    LOST,
    BrokenFileError,
    CsvOptions,
    Partition,
    RawRow,
    SourceError,
    size_of,
)
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE, did_you_mean
from datachef.core.files.delimited import rows_of_table
from datachef.core.files.json_rows import is_lines, rows_of_json, rows_of_lines
from datachef.core.files.parquet import Features, ParquetFile, rows_of
from datachef.core.files.storage import is_compressed, kind, opened
from datachef.core.files.text import (
    TextFile,
    lines,
    lines_between,
    rest_of_line,
    text_of,
)
from datachef.core.system.network import Network

if TYPE_CHECKING:
    import polars as pl

Reader = Callable[[Partition], Iterator[RawRow]]


def _text_rows(read: Callable[[TextFile, Partition], Iterator[RawRow]]) -> Reader:
    """A reader of whole text files, whatever their encoding and line ends."""

    def rows(partition: Partition) -> Iterator[RawRow]:
        with opened(partition.place["path"], partition.size, _network(partition.place)) as file:
            yield from read(text_of(file, partition.place.get("encoding")), partition)

    return rows


def read_jsonl(partition: Partition) -> Iterator[RawRow]:
    """One JSON object per line; a partition may be the lines that begin in a range of bytes."""
    start, stop = partition.place.get("start", 0), partition.place.get("stop")
    if stop is None:
        yield from _whole_jsonl(partition)
        return
    # a mark at the beginning of what is cut is UTF-8's, and no part of its first line
    with opened(partition.place["path"], network=_network(partition.place)) as file:
        stream, offset = file.stream(), start
        if start:
            stream.seek(start - 1)
            offset += rest_of_line(stream) - 1
        yield from rows_of_lines(lines_between(stream, offset, stop), "not_utf8")


_whole_jsonl = _text_rows(lambda text, _: rows_of_lines(lines(text), text.not_decodable))
read_json = _text_rows(lambda text, _: rows_of_json(text))
read_csv = _text_rows(
    lambda text, partition: rows_of_table(
        text, partition.place.get("csv", {}), partition.place["kind"]
    )
)


def _rows_of_text(text: TextFile, partition: Partition) -> Iterator[RawRow]:
    """The whole file as one row, or each of its lines, with the text under `text`."""
    if not partition.place["by_line"]:
        raw = text.stream.read(MAX_ROW_BYTES + 1)
        if len(raw) > MAX_ROW_BYTES:
            detail = f"a file of {partition.size:,} bytes is too large for one row: rows: line"
            yield RawRow(0, 1, partition.size, None, ROW_TOO_LARGE, detail)
        else:
            yield _text_row(0, 1, raw, text)
        return
    for number, line in enumerate(lines(text), start=1):
        if line.reason:
            yield RawRow(line.offset, number, line.size, None, line.reason, line.detail)
        elif line.raw.isspace():
            yield RawRow(line.offset, number, line.size, None)
        else:
            yield _text_row(line.offset, number, line.raw, text)


def _text_row(offset: int, number: int, raw: bytes, text: TextFile) -> RawRow:
    try:
        content = raw.decode()
    except UnicodeDecodeError as error:
        detail = f"{error}: name the file's encoding, as `encoding`"
        return RawRow(offset, number, len(raw), None, text.not_decodable, detail)
    content = content.removesuffix("\n").removesuffix("\r")
    return RawRow(offset, number, len(raw), {"text": content})


read_text = _text_rows(_rows_of_text)


def read_parquet(partition: Partition) -> Iterator[RawRow]:
    """Rows [start, stop) of a Parquet file; row groups outside are not read.

    Of a range that is damaged the rows before and after the damage are read, and the others fail.
    """
    import polars as pl

    start, stop = partition.place.get("start", 0), partition.place.get("stop")
    try:
        file = ParquetFile(partition.place["path"], _network(partition.place))
        features = file.features()
        stop = file.count() if stop is None else stop
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BrokenFileError(_first_line(error), passing=_passing(error)) from error

    rows, done = stop - start, 0
    try:
        for frame in file.pieces(start, stop):
            yield from _numbered(frame, features, start, done)
            done += frame.height
        return
    except (pl.exceptions.PolarsError, OSError) as error:
        trouble = error
    before = done + _most(
        lambda count: _read(file, start + done, start + done + count), rows - done
    )
    after = _most(lambda count: _read(file, stop - count, stop), rows - before)
    for frame in file.pieces(start + done, start + before):
        yield from _numbered(frame, features, start, done)
        done += frame.height
    for number in range(before, rows - after):
        yield RawRow(start + number, number + 1, 0, None, LOST, _first_line(trouble))
    done = rows - after
    for frame in file.pieces(stop - after, stop):
        yield from _numbered(frame, features, start, done)
        done += frame.height
    raise BrokenFileError(
        _first_line(trouble),
        bytes_read=partition.size * (before + after) // max(rows, 1),
        passing=_passing(trouble),
    ) from trouble


def _read(file: ParquetFile, start: int, stop: int) -> None:
    """Reads rows to see whether they can be read."""
    for _ in file.pieces(start, stop):
        pass


def _network(place: Mapping[str, Any]) -> Network:
    """Where a URL may lead: nowhere, unless whoever reads says more."""
    return Network(tuple(place.get("network", ())))


def _numbered(
    frame: pl.DataFrame, features: Features, position: int, before: int
) -> Iterator[RawRow]:
    for number, row in enumerate(rows_of(frame, features), start=before):
        yield RawRow(position + number, number + 1, size_of(row), row)


def _most(read: Callable[[int], Any], limit: int) -> int:
    """The largest number, up to a limit, of rows that can be read without an error."""
    import polars as pl

    low = 0
    while low < limit:
        middle = (low + limit + 1) // 2
        try:
            read(middle)
            low = middle
        except (pl.exceptions.PolarsError, OSError):
            limit = middle - 1
    return low


def _passing(error: Exception) -> bool:
    return isinstance(error, OSError)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


READERS: dict[str, Reader] = {
    "jsonl": read_jsonl,
    "ndjson": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "tsv": read_csv,
    "txt": read_text,
    "md": read_text,
    "parquet": read_parquet,
}


# Suffixes of files that are packed in ways that we do not read.
_PACKED = {"7z", "br", "bz2", "lz4", "lzma", "rar", "tar", "tbz2", "tgz", "xz", "z", "zip"}


def form_of(path: str, csv: CsvOptions | None = None) -> str:
    """The name of the reader for a file. Raises `SourceError` where there is none.

    Where options for tables are given, text and files without a suffix of ours are tables too.
    """
    form = kind(path)
    if csv is not None and (form not in READERS or READERS[form] is read_text):
        return "csv"
    if form not in READERS:
        raise SourceError(
            "unknown_file_format",
            f"no reader for files that end in {form or 'no suffix'!r}",
            "unpack it first, or pack it with gzip or zstd"
            if form in _PACKED
            else did_you_mean(form, READERS),
        )
    return form


def place_of(
    path: str, form: str, encoding: str | None = None, csv: CsvOptions | None = None
) -> dict[str, Any]:
    """What a reader needs to know of a file, as plain data."""
    place: dict[str, Any] = {"path": path, "kind": form}
    if READERS[form] is read_csv:
        options = csv or CsvOptions()
        encoding = options.encoding or encoding
        place["csv"] = options.model_dump(mode="json", exclude_defaults=True)
    return place | ({"encoding": encoding} if encoding and form != "parquet" else {})


def can_be_cut(place: Mapping[str, Any]) -> bool:
    """Whether a file's lines can be read from any byte on: lines of JSON in UTF-8, not packed."""
    path, form = place["path"], place["kind"]
    if READERS[form] not in (read_jsonl, read_json) or is_compressed(path):
        return False
    with opened(path, network=_network(place)) as file:
        text = text_of(file, place.get("encoding"))
        by_line = READERS[form] is read_jsonl or is_lines(text.head)
        return text.plain and text.newline == b"\n" and by_line


def read_file(
    path: str, encoding: str | None = None, csv: CsvOptions | None = None
) -> Iterator[RawRow]:
    """All rows of one local file, by its suffix; of plain text each line is one.

    Raises `SourceError` for a format that has no reader, and `BrokenFileError` after the last row
    that can be read, where that is not the end.
    """
    form = form_of(path, csv)
    place = place_of(path, form, encoding, csv) | {"by_line": True}
    return READERS[form](Partition(path, "", 0, place))
