"""Tables in text: comma- and tab-separated values, read as strictly as the data allows."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from datachef.core.contracts.source import BrokenFileError, CsvOptions, RawRow
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE
from datachef.core.escaping import is_whole, shown
from datachef.core.files.text import Line, TextFile, lines

# Delimiters that a header of one column may have been meant for.
DELIMITERS = ("\t", ";", "|", ",")
# So many delimiters, in lines that each have as many as a row, are no chance. Prose has no tabs.
_NO_CHANCE = {"\t": 2}
_NO_CHANCE_OTHERWISE = 8


@dataclass(frozen=True)
class _Dialect:
    """The options with what they leave open decided, and the patterns that they make."""

    delimiter: str
    quoted: bool
    quote: str
    escape: str | None
    skip_space: bool
    max_lines: int

    @classmethod
    def of(cls, options: CsvOptions, kind: str) -> _Dialect:
        tabs = kind == "tsv"
        return cls(
            options.delimiter or ("\t" if tabs else ","),
            not tabs if options.quoting is None else options.quoting == "minimal",
            options.quote,
            options.escape,
            options.skip_initial_space,
            options.max_lines,
        )

    @cached_property
    def quoted_rest(self) -> re.Pattern[str]:
        """The rest of a quoted field with the quote that ends it."""
        quote = re.escape(self.quote)
        if self.escape is None:
            return re.compile(f"((?:[^{quote}]++|{quote}{quote})*+){quote}", re.DOTALL)
        escape = re.escape(self.escape)
        inner = f"[^{quote}{escape}]++|{escape}.|{quote}{quote}"
        return re.compile(f"((?:{inner})*+){quote}", re.DOTALL)

    @cached_property
    def plain(self) -> re.Pattern[str]:
        """A field without quotes, in which an escape makes the delimiter a character."""
        escape, delimiter = re.escape(self.escape or ""), re.escape(self.delimiter)
        return re.compile(f"(?:{escape}.|(?!{delimiter}).)*+", re.DOTALL)

    @cached_property
    def escaped(self) -> re.Pattern[str]:
        """What an escape stands before for a reason; before anything else it is itself."""
        marks = "".join(map(re.escape, (self.quote, self.escape or "", self.delimiter[0])))
        return re.compile(f"{re.escape(self.escape or '')}([{marks}])")

    def unquoted(self, text: str) -> str:
        if self.escape is None:
            return text.replace(self.quote * 2, self.quote)
        doubled = re.escape(self.quote * 2)
        pattern = f"{self.escaped.pattern}|{doubled}"
        return re.sub(pattern, lambda match: match[1] or self.quote, text)


class _RowError(Exception):
    """Text that is no row; carries what is wrong with it."""


class _Record(NamedTuple):
    """One row as it was found: its fields or what is wrong with it, and how many lines it has."""

    line: Line
    number: int
    size: int
    fields: list[str] | None
    reason: str = ""
    detail: str = ""


class TableReader:
    """The rows of one table."""

    def __init__(self, text: TextFile, options: CsvOptions, kind: str) -> None:
        self._text = text
        self._dialect = _Dialect.of(options, kind)
        self._columns = options.columns
        self._lines = lines(text)
        self._waiting: deque[Line] = deque()
        self._width = 0
        self._number = 0

    def rows(self) -> Iterator[RawRow]:
        """Rows under the header. Raises `BrokenFileError` for a header that names no columns."""
        records = self._records()
        header = list(self._columns) if self._columns else self._header(records)
        self._width = len(header)
        for record in records:
            line, number, size, fields, reason, detail = record
            if fields is None:
                yield RawRow(line.offset, number, size, None, reason, detail)
            elif not all(map(str.isascii, fields)) and not all(map(is_whole, fields)):
                detail = "a byte that is no text in this encoding: name the file's, as `encoding`"
                reason = self._text.not_decodable
                yield RawRow(line.offset, number, size, None, reason, detail)
            elif len(fields) != len(header):
                detail = f"{len(fields)} values under {len(header)} columns"
                yield RawRow(line.offset, number, size, None, "schema_mismatch", detail)
            else:
                yield RawRow(line.offset, number, size, dict(zip(header, fields, strict=True)))

    def _header(self, records: Iterator[_Record]) -> list[str]:
        first = next((r for r in records if r.fields is not None or r.reason), None)
        if first is None:
            return []
        if first.fields is None:
            raise BrokenFileError(f"the header in line {first.number}: {first.detail}")
        fields = enumerate(map(shown, first.fields), start=1)
        names = [name or f"column_{number}" for number, name in fields]
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise BrokenFileError(
                f"the header names the column {twice!r} twice",
                "has the file no header? name its columns: csv: {columns: [...]}",
                code="duplicate_column",
            )
        return names

    def _records(self) -> Iterator[_Record]:
        dialect = self._dialect
        simple = dialect.escape is None and not dialect.skip_space
        while (line := self._next()) is not None:
            number = self._number
            if line.reason:
                yield _Record(line, number, line.size, None, line.reason, line.detail)
                continue
            text = _decoded(line.raw)
            body = text.rstrip("\r\n")
            if not body:
                yield _Record(line, number, line.size, None)
            elif dialect.quoted and dialect.quote in body:
                yield self._record(line, text)
            elif "\r" in body or "\n" in body:
                yield from self._rows_between_returns(line, body)
            elif simple:
                yield _Record(line, number, line.size, body.split(dialect.delimiter))
            else:
                yield self._record(line, text)

    def _next(self) -> Line | None:
        line = self._waiting.popleft() if self._waiting else next(self._lines, None)
        self._number += line is not None
        return line

    def _record(self, line: Line, text: str) -> _Record:
        """The record that begins with this line; of one that is none the other lines come again."""
        number = self._number
        taken: list[Line] = []
        try:
            fields = self._fields(text, taken)
            if taken and self._width:
                self._doubt(line, fields, taken)
        except _RowError as error:
            self._waiting.extendleft(reversed(taken))
            self._number = number
            return _Record(line, number, line.size, None, "not_csv", str(error))
        size = line.size + sum(more.size for more in taken)
        if len(taken) >= self._dialect.max_lines:
            detail = f"a row over {len(taken) + 1:,} lines (csv: {{max_lines: ...}} allows more)"
            return _Record(line, number, size, None, ROW_TOO_LARGE, detail)
        return _Record(line, number, size, fields)

    def _rows_between_returns(self, line: Line, body: str) -> Iterator[_Record]:
        """A line with another line end in it: several rows where all are, else one that fails."""
        pieces = [piece.split(self._dialect.delimiter) for piece in re.split("[\r\n]+", body)]
        if all(len(fields) == self._width for fields in pieces):
            for index, fields in enumerate(pieces):
                placed = line._replace(offset=line.offset + index)
                yield _Record(placed, self._number, line.size // len(pieces), fields)
            return
        detail = "a line end of another kind within a field that is not quoted"
        yield _Record(line, self._number, line.size, None, "not_csv", detail)

    def _fields(self, text: str, taken: list[Line]) -> list[str]:
        """The fields of a record; takes more lines where a quoted field runs on."""
        dialect = self._dialect
        fields: list[str] = []
        at, end = 0, len(text.rstrip("\r\n"))
        while True:
            if dialect.skip_space:
                at = end - len(text[at:end].lstrip(" "))
            if dialect.quoted and at < end and text.startswith(dialect.quote, at):
                value, text, at = self._quoted(text, at + 1, taken)
                end = len(text.rstrip("\r\n"))
                if at < end and not text.startswith(dialect.delimiter, at):
                    raise _RowError("text after a closing quote" + self._about_escapes(text))
            else:
                value, at = self._unquoted(text, at, end)
            fields.append(value)
            if at >= end:
                return fields
            at += len(dialect.delimiter)

    def _unquoted(self, text: str, at: int, end: int) -> tuple[str, int]:
        dialect = self._dialect
        if dialect.escape is None:
            stop = text.find(dialect.delimiter, at, end)
            stop = end if stop < 0 else stop
            value = text[at:stop]
        else:
            match = dialect.plain.match(text, at, end)
            stop = match.end() if match else end
            value = dialect.escaped.sub(r"\1", text[at:stop])
        if "\r" in value or "\n" in value:
            raise _RowError("a line end of another kind within a field that is not quoted")
        if dialect.quoted and value.startswith(" ") and value.lstrip(" ").startswith(dialect.quote):
            raise _RowError("a quote after a space: write csv: {skip_initial_space: true}")
        return value, stop

    def _quoted(self, text: str, at: int, taken: list[Line]) -> tuple[str, str, int]:
        """The rest of a quoted field, with the line that it ends in and where."""
        dialect = self._dialect
        parts: list[str] = []
        size = 0
        while (match := dialect.quoted_rest.match(text, at)) is None:
            parts.append(text[at:])
            size += len(text)
            line = self._next() if size <= MAX_ROW_BYTES else None
            if line is None:
                raise _RowError("the quote is never closed" + self._about_escapes(parts[0]))
            taken.append(line)
            if line.reason:
                raise _RowError(f"within quotes there is {line.detail}")
            text, at = _decoded(line.raw), 0
        parts.append(match[1])
        return dialect.unquoted("".join(parts)), text, match.end()

    def _doubt(self, line: Line, fields: list[str], taken: list[Line]) -> None:
        """Refuses a record over several lines that is more likely one with a stray quote."""
        dialect, width = self._dialect, self._width
        text = _decoded(line.raw)
        mark = dialect.delimiter.encode()
        like_rows = (1 < width == each.raw.count(mark) + 1 for each in [line, *taken])
        enough = _NO_CHANCE.get(dialect.delimiter, _NO_CHANCE_OTHERWISE)
        if len(fields) != width:
            if sum(like_rows) > len(taken) / 2:
                raise _RowError("the quote is closed in a later row")
        elif all(like_rows) and (len(taken) + 1) * (width - 1) >= enough:
            raise _RowError(f"the quote is closed only {len(taken):,} rows on")
        if dialect.escape is None and f"\\{dialect.quote}" in text:
            # the same line may be meant to end where a backslash stands before a quote
            by_escape = TableReader.__new__(TableReader)
            by_escape._dialect = replace(dialect, escape="\\")
            by_escape._lines, by_escape._waiting, by_escape._number = iter(()), deque(), 0
            try:
                ends_here = len(by_escape._fields(text, [])) == width
            except _RowError:
                return
            if ends_here:
                raise _RowError("the quote is never closed" + self._about_escapes(text))

    def _about_escapes(self, text: str) -> str:
        if self._dialect.escape is not None or f"\\{self._dialect.quote}" not in text:
            return ""
        return '; are quotes escaped by backslashes? write csv: {escape: "\\\\"}'


def _decoded(raw: bytes) -> str:
    # a byte that is not UTF-8 becomes a lone surrogate, by which its row is known again
    return raw.decode("utf-8", "surrogateescape")
