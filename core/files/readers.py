"""The file formats of text that we read, and which format a file has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from datachef.core.contracts.reader import InputFile, Part, Reader, ReadOptions
from datachef.core.contracts.source import CsvOptions, RawRow, SourceError
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE
from datachef.core.files.delimited import TableReader
from datachef.core.files.json_rows import is_lines, rows_of_json, rows_of_lines
from datachef.core.files.parquet_reader import ParquetReader
from datachef.core.files.storage import content_of, is_compressed, kind, opened
from datachef.core.files.text import (
    TextFile,
    lines,
    lines_between,
    rest_of_line,
    text_of,
)


class StoredFile(InputFile):
    """A file on this machine or behind a URL."""

    def open(self) -> AbstractContextManager[BinaryIO]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with opened(self.path, self.size, self.network) as file:
            yield file.stream()

    def content(self) -> Path | bytes:
        found = content_of(self.path, self.network)
        return found if isinstance(found, Path) else found.getvalue()


@contextmanager
def text_in(file: InputFile) -> Iterator[TextFile]:
    """A whole file as text, whatever its encoding and line ends."""
    with opened(file.path, file.size, file.network) as stored:
        yield text_of(stored, file.options.encoding)


def ranges_of_lines(file: InputFile) -> Iterable[Part]:
    """The parts of a file of JSON lines; one that is small, packed or not in UTF-8 is one part."""
    step = file.part_bytes
    if file.size <= step or is_compressed(file.path):
        return [Part(file.size)]
    with opened(file.path, network=file.network) as stored:
        text = text_of(stored, file.options.encoding)
        if not text.plain or text.newline != b"\n":
            return [Part(file.size)]
    ranges = ((start, min(start + step, file.size)) for start in range(0, file.size, step))
    return [Part(stop - start, {"start": start, "stop": stop}) for start, stop in ranges]


def lines_in_range(file: InputFile, start: int, stop: int) -> Iterator[RawRow]:
    """The rows of the JSON lines that begin in a range of bytes."""
    # a mark at the beginning of what is cut is UTF-8's, and no part of its first line
    with opened(file.path, network=file.network) as stored:
        stored.until(stop)
        stream, offset = stored.stream(), start
        if start:
            stream.seek(start - 1)
            offset += rest_of_line(stream) - 1
        yield from rows_of_lines(lines_between(stream, offset, stop), "not_utf8")


class JsonLinesReader(Reader):
    """One JSON object per line."""

    name = "jsonl"
    suffixes = ("jsonl", "ndjson")
    holds = "rows"

    def split(self, file: InputFile) -> Iterable[Part]:
        return ranges_of_lines(file)

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        if "stop" in place:
            yield from lines_in_range(file, place["start"], place["stop"])
            return
        with text_in(file) as text:
            yield from rows_of_lines(lines(text), text.not_decodable)


class JsonReader(Reader):
    """JSON objects: one per line, of an array, or one after another."""

    name = "json"
    suffixes = ("json",)
    holds = "rows"

    def split(self, file: InputFile) -> Iterable[Part]:
        if file.size > file.part_bytes and not is_compressed(file.path):
            with text_in(file) as text:
                by_line = is_lines(text.head)
            if by_line:
                return ranges_of_lines(file)
        return [Part(file.size)]

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        if "stop" in place:
            yield from lines_in_range(file, place["start"], place["stop"])
            return
        with text_in(file) as text:
            yield from rows_of_json(text)


class CsvReader(Reader):
    """Comma-separated values."""

    name = "csv"
    suffixes = ("csv",)
    holds = "rows"

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        options = file.options.csv or CsvOptions()
        with opened(file.path, file.size, file.network) as stored:
            text = text_of(stored, options.encoding or file.options.encoding)
            yield from TableReader(text, options, self.name).rows()


class TsvReader(CsvReader):
    """Tab-separated values."""

    name = "tsv"
    suffixes = ("tsv",)


class TextReader(Reader):
    """Plain text: the whole file as one row, or each of its lines."""

    name = "txt"
    suffixes = ("txt", "md")
    holds = "prose"

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        with text_in(file) as text:
            yield from _lines_of(text) if file.options.by_line else _whole(text, file.size)


def _whole(text: TextFile, size: int) -> Iterator[RawRow]:
    raw = text.stream.read(MAX_ROW_BYTES + 1)
    if len(raw) > MAX_ROW_BYTES:
        detail = f"a file of {size:,} bytes is too large for one row: rows: line"
        yield RawRow(0, 1, size, None, ROW_TOO_LARGE, detail)
    else:
        yield _text_row(0, 1, raw, text)


def _lines_of(text: TextFile) -> Iterator[RawRow]:
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


# The formats that benchmarks may have, without any plugin.
BASIC: tuple[type[Reader], ...] = (
    JsonLinesReader, JsonReader, CsvReader, TsvReader, TextReader, ParquetReader,
)  # fmt: skip

# Suffixes of files that are packed in ways that we do not read.
_PACKED = {"7z", "br", "bz2", "lz4", "lzma", "rar", "tar", "tbz2", "tgz", "xz", "z", "zip"}


def reader_of(
    path: str, readers: Iterable[type[Reader]], csv: CsvOptions | None = None
) -> type[Reader]:
    """The reader for a file, by its suffix. Raises `SourceError` where there is none.

    Where options for tables are given, text and files without a suffix of ours are tables too.
    """
    suffix = kind(path)
    by_suffix = {known: reader for reader in readers for known in reader.suffixes}
    found = by_suffix.get(suffix)
    if csv is not None and (found is None or found is TextReader):
        return CsvReader
    if found is None:
        known = f"those of {', '.join(sorted(by_suffix))} are read; file_format names another"
        raise SourceError(
            "unknown_file_format",
            f"no reader for files that end in {suffix or 'no suffix'!r}",
            "unpack it first, or pack it with gzip or zstd" if suffix in _PACKED else known,
        )
    return found


def read_file(
    path: str, encoding: str | None = None, csv: CsvOptions | None = None
) -> Iterator[RawRow]:
    """All rows of one local file in a basic format, by its suffix; of plain text each line is one.

    Raises `SourceError` for a format that has no reader, and `BrokenFileError` after the last row
    that can be read, where that is not the end.
    """
    reader = reader_of(path, BASIC, csv)()
    return reader.read(StoredFile(path, 0, ReadOptions(encoding, True, csv)), {})
