"""Rows of JSON: one object per line, or the objects of an array; numbers as they are written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from datachef.core.contracts.source import RawRow
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE
from datachef.core.files.text import BOM, Line, TextFile, lines
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.values import LARGEST, SMALLEST, NumberText

if TYPE_CHECKING:
    import polars as pl


# The number of first lines by which a file shows whether each holds a value of its own.
_LAYOUT_LINES = 20


def rows_of_lines(found: Iterable[Line], not_decodable: str) -> Iterator[RawRow]:
    """One JSON object per line; blank lines are not rows."""
    number = 0
    for line in found:
        number += 1
        row = _row(line, number, not_decodable)
        if row.data is not None or not row.reason:
            yield row
        elif pieces := _records_between_returns(line, number, not_decodable):
            yield from pieces
            number += len(pieces) - 1
        else:
            yield row


def _row(line: Line, number: int, not_decodable: str) -> RawRow:
    """The row of a line that holds one JSON object; none where the line is blank."""
    offset, size, raw, reason, detail = line
    try:
        data = loads(raw)
    except orjson.JSONDecodeError as error:
        raise_environment_failure(error)
        if not reason and raw.isspace():
            return RawRow(offset, number, size, None)
        if not reason and raw.startswith(BOM):
            return _row(line._replace(raw=raw.removeprefix(BOM) or b" "), number, not_decodable)
        reason = reason or ("not_json" if _is_utf8(raw) else not_decodable)
        return RawRow(offset, number, size, None, reason, detail or str(error))
    if type(data) is dict:
        return RawRow(offset, number, size, data)
    more = "; a JSON array of rows is read from a file named .json" if type(data) is list else ""
    detail = f"a row is a {type(data).__name__}{more}"
    return RawRow(offset, number, size, None, "not_an_object", detail)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _records_between_returns(line: Line, number: int, not_decodable: str) -> list[RawRow]:
    """The records of a line between bare CRs, where there are such: none holds one as it is."""
    pieces = line.raw.rstrip(b"\r\n").split(b"\r")
    if len(pieces) == 1:
        return []
    rows: list[RawRow] = []
    offset = line.offset
    for raw in pieces:
        piece = Line(offset, len(raw) + 1, raw + b"\r")
        rows.append(_row(piece, number + len(rows), not_decodable))
        offset += piece.size
    return rows if any(row.data is not None for row in rows) else []


def rows_of_json(text: TextFile) -> Iterator[RawRow]:
    """The rows of a `.json` file: of lines of objects, of an array, or of objects in a row.

    Raises `EOFError` where the file ends within a value.
    """
    if is_lines(text.head):
        yield from rows_of_lines(lines(text), text.not_decodable)
        return
    for number, line in _Values(text).found():
        yield _row(line, number, text.not_decodable)


def is_lines(head: bytes) -> bool:
    """Whether a file that begins so holds one value per line, as most of its first lines do."""
    if head.lstrip().startswith(b"["):
        return False
    first = [line for line in re.split(rb"[\r\n]", head) if line.strip()]
    if len(first) > 1 and head[-1:] not in (b"\r", b"\n"):
        first.pop()  # it may be cut off here
    first = first[:_LAYOUT_LINES]
    whole = sum(_row(Line(0, 0, line), 0, "").data is not None for line in first)
    return whole > len(first) / 2


class _Values:
    """Finds the values of JSON text that is read in pieces: those of arrays, or one after another.

    Values are told apart by quotes and brackets alone, so that a broken one costs itself; none is
    held in memory beyond the limit for a row.
    """

    _VALUE = re.compile(rb"[^\s,]")

    def __init__(self, text: TextFile) -> None:
        self._stream = text.stream
        self._newline = text.newline
        self._data = b""
        self._at = 0
        self._before = text.skipped
        self._line = 1
        self._array_line = 0

    def found(self) -> Iterator[tuple[int, Line]]:
        """Each value with the line on which it begins."""
        while mark := self._next_mark():
            if mark == b"[" and not self._array_line:
                self._array_line = self._line
                self._take(self._at + 1)
            elif mark == b"]" and self._array_line:
                self._array_line = 0
                self._take(self._at + 1)
            else:
                line = self._line
                yield line, self._value()
        if self._array_line:
            raise EOFError(f"the JSON array that begins in line {self._array_line} never ends")

    def _next_mark(self) -> bytes:
        """The byte with which a value begins or an array begins or ends; none at the end."""
        while self._more():
            match = self._VALUE.search(self._data, self._at)
            self._take(match.start() if match else len(self._data))
            if match:
                return match[0]
        return b""

    def _more(self) -> bool:
        """Whether there is anything left, read into `_data` from `_at`."""
        if self._at == len(self._data):
            self._before += len(self._data)
            self._data, self._at = self._stream.read1(1 << 20), 0
        return bool(self._data)

    def _take(self, end: int) -> bytes:
        """Takes what comes before a place in the data that was read, counting its lines."""
        self._line += self._data.count(self._newline, self._at, end)
        taken, self._at = self._data[self._at : end], end
        return taken

    def _value(self) -> Line:
        """Takes one value: a whole object or list, or anything else up to what ends it."""
        offset, begun = self._before + self._at, self._line
        pieces: list[bytes] = []
        size = 0
        end = _EndOfValue()
        while not end.found:
            if not self._more():
                if end.inside or self._array_line:
                    raise EOFError(f"it ends within the JSON value that begins in line {begun}")
                break
            piece = self._take(end.search(self._data, self._at))
            size += len(piece)
            if size <= MAX_ROW_BYTES:
                pieces.append(piece)
        if size > MAX_ROW_BYTES:
            return Line(offset, size, b"", ROW_TOO_LARGE, f"a row of {size:,} bytes")
        return Line(offset, size, b"".join(pieces))


class _EndOfValue:
    """Looks for the end of one value in data that comes in pieces."""

    _IN_STRING = re.compile(rb'["\\]')
    _IN_VALUE = re.compile(rb'["{}\[\]]')

    def __init__(self) -> None:
        self.found = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._begun = False

    @property
    def inside(self) -> bool:
        """Whether a bracket or a string is open."""
        return self._depth > 0 or self._in_string

    def search(self, data: bytes, at: int) -> int:
        """Where the value ends in this piece, or the end of the piece."""
        while at < len(data) and not self.found:
            if self._escaped:
                self._escaped = False
                at += 1
            elif self.inside:
                pattern = self._IN_STRING if self._in_string else self._IN_VALUE
                match = pattern.search(data, at)
                if match is None:
                    return len(data)
                self._see(match[0])
                at = match.end()
            elif self._begun and data[at : at + 1] in b"{[],\r\n":
                self.found = True
            else:
                if data[at : at + 1] in b'{["':
                    self._see(data[at : at + 1])
                self._begun = True
                at += 1
        return at

    def _see(self, mark: bytes) -> None:
        if mark == b"\\":
            self._escaped = True
        elif mark == b'"':
            self._in_string = not self._in_string
        elif not self._in_string:
            self._depth += 1 if mark in b"{[" else -1
            self.found = self._depth == 0


_BEYOND = 2**63


def loads(raw: bytes) -> Any:
    """The value of a JSON text; numbers that neither 64 bits nor a double hold are `NumberText`.

    Also takes `NaN` and `Infinity`, which are no JSON but what Python and pandas write. Of a key
    that is given twice the last value counts, as in most readers. Raises `orjson.JSONDecodeError`.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):  # Pythons differ in how deep they would go
            raise
        raise_environment_failure(error)
        try:
            return _exactly(raw)
        except (ValueError, RecursionError):
            raise error from None
    try:
        return _exactly(raw) if _may_be_rounded(data) else data
    except RecursionError:  # what is nested that deep is no row's content
        return data


def _may_be_rounded(value: Any) -> bool:
    """Whether there is a number that may have been an integer too long for 64 bits."""
    kind = type(value)
    if kind is float:
        return bool(value >= _BEYOND or value <= -_BEYOND)
    if kind is dict:
        for inner in value.values():
            kind = type(inner)
            if (kind is float or kind is list or kind is dict) and _may_be_rounded(inner):
                return True
    elif kind is list and value:
        try:
            # of a list of plain numbers, such as an embedding, the ends tell at the speed of C
            largest, smallest = max(value), min(value)
        except TypeError:
            return any(map(_may_be_rounded, value))
        if isinstance(largest, list | dict):
            return any(map(_may_be_rounded, value))
        return _may_be_rounded(largest) or _may_be_rounded(smallest)
    return False


def _exactly(raw: bytes) -> Any:
    data = json.loads(raw.decode(), parse_int=_integer, parse_float=_fraction)
    # half a surrogate pair is no text
    json.dumps(data, ensure_ascii=False).encode()
    return data


def _integer(digits: str) -> int | NumberText:
    if len(digits) > len(str(SMALLEST)):
        return NumberText(digits)
    value = int(digits)
    return value if SMALLEST <= value <= LARGEST else NumberText(digits)


def _fraction(digits: str) -> float | NumberText:
    value = float(digits)
    return value if math.isfinite(value) else NumberText(digits)


Decoder = Callable[[Any], Any]


def decoder(dtype: pl.DataType) -> Decoder | None:
    """What turns a value of a column into one without JSON text; None where it has none."""
    import polars as pl

    if isinstance(dtype, pl.BaseExtension):
        return _loaded if dtype.ext_name() == "arrow.json" else None
    if isinstance(dtype, pl.List | pl.Array):
        inner = decoder(dtype.inner)  # type: ignore[arg-type]
        return None if inner is None else _each(inner)
    if isinstance(dtype, pl.Struct):
        found = {field.name: decoder(field.dtype) for field in dtype.fields}  # type: ignore[arg-type]
        fields = {name: each for name, each in found.items() if each is not None}
        return _fields(fields) if fields else None
    return None


def _loaded(value: Any) -> Any:
    return loads(value.encode()) if isinstance(value, str) else value


def _each(inner: Decoder) -> Decoder:
    return lambda values: None if values is None else [inner(value) for value in values]


def _fields(inner: Mapping[str, Decoder]) -> Decoder:
    if not inner:
        return lambda row: row

    def decode(row: Any) -> Any:
        return row and {**row, **{name: each(row[name]) for name, each in inner.items()}}

    return decode
