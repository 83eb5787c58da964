"""Reads Parquet files, around the damage where a part is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from datachef.core.contracts.reader import InputFile, Part, Reader
from datachef.core.contracts.source import LOST, BrokenFileError, RawRow, size_of
from datachef.core.files.parquet import Features, ParquetFile, rows_of

if TYPE_CHECKING:
    import polars as pl

# As well as this text is packed, at most, where it is not made to be large.
MOST_COMPRESSION = 20


class ParquetReader(Reader):
    """Parquet: its rows, cut into ranges; row groups outside of a range are not read.

    Of a range that is damaged the rows before and after the damage are read, and the others fail.
    """

    name = "parquet"
    suffixes = ("parquet",)

    def split(self, file: InputFile) -> Iterable[Part]:
        import polars as pl

        try:
            content = ParquetFile(file.path, file.network)
            rows = content.count()
            # of a file that is packed well, by what comes out of it
            size = max(file.size, content.unpacked() // MOST_COMPRESSION)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BrokenFileError(_first_line(error), passing=_passing(error)) from error
        step = max(1, rows * file.part_bytes // max(size, 1))
        for start, stop in pairwise(content.bounds(step)):
            part = file.size * (stop - start) // rows
            yield Part(part, {"start": start, "stop": stop}, stop - start)

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        import polars as pl

        start, stop = place.get("start", 0), place.get("stop")
        try:
            content = ParquetFile(file.path, file.network)
            features = content.features()
            stop = content.count() if stop is None else stop
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BrokenFileError(_first_line(error), passing=_passing(error)) from error

        rows, done = stop - start, 0
        try:
            for frame in content.pieces(start, stop):
                yield from _numbered(frame, features, start, done)
                done += frame.height
            return
        except (pl.exceptions.PolarsError, OSError) as error:
            trouble = error
        before = done + _most(
            lambda count: _try(content, start + done, start + done + count), rows - done
        )
        after = _most(lambda count: _try(content, stop - count, stop), rows - before)
        for frame in content.pieces(start + done, start + before):
            yield from _numbered(frame, features, start, done)
            done += frame.height
        for number in range(before, rows - after):
            yield RawRow(start + number, number + 1, 0, None, LOST, _first_line(trouble))
        done = rows - after
        for frame in content.pieces(stop - after, stop):
            yield from _numbered(frame, features, start, done)
            done += frame.height
        raise BrokenFileError(
            _first_line(trouble),
            bytes_read=file.size * (before + after) // max(rows, 1),
            passing=_passing(trouble),
        ) from trouble


def _try(content: ParquetFile, start: int, stop: int) -> None:
    """Reads rows to see whether they can be read."""
    for _ in content.pieces(start, stop):
        pass


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
