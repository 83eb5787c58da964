"""Arrow files: streams, as `datasets` saves and caches them, and files that can be sought in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datachef.core import BrokenFileError, InputFile, Part, RawRow, Reader
from datachef.core.contracts.source import size_of
from datachef.core.files.parquet import features_in, frame_of, rows_of

_FILE = b"ARROW1"
# Rows of a table that are converted to polars at a time.
_PIECE_ROWS = 1_000


class ArrowReader(Reader):
    """Arrow IPC: its rows; class labels become their names, as `datasets` wrote them down."""

    name = "arrow"
    suffixes = ("arrow", "feather")

    def split(self, file: InputFile) -> Iterable[Part]:
        with _batches(file) as (batches, _):
            counts = [batch.num_rows for batch in batches]
        rows = sum(counts)
        step = max(1, rows * file.part_bytes // max(file.size, 1))
        start = seen = 0
        for count in counts:  # a part ends where a batch does: none is read twice
            seen += count
            if seen - start >= step or (seen == rows and seen > start):
                size = file.size * (seen - start) // rows
                yield Part(size, {"start": start, "stop": seen}, seen - start)
                start = seen

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        import pyarrow as pa

        start, stop = place.get("start", 0), place.get("stop")
        first = 0
        with _batches(file) as (batches, features):
            for batch in batches:
                if stop is not None and first >= stop:
                    return
                last = first + batch.num_rows
                if last > start:
                    batch.validate(full=True)  # what it says of offsets may lead anywhere
                    for at in range(max(start - first, 0), batch.num_rows, _PIECE_ROWS):
                        piece = pa.Table.from_batches([batch.slice(at, _PIECE_ROWS)])
                        for number, row in enumerate(rows_of(frame_of(piece), features)):
                            position = first + at + number
                            yield RawRow(position, position - start + 1, size_of(row), row)
                first = last
        if stop is not None and first < stop:
            raise BrokenFileError(f"it holds {first:,} rows and had {stop:,}")


@contextmanager
def _batches(file: InputFile) -> Iterator[tuple[Iterator[Any], Mapping[str, Any]]]:
    """The record batches of a file, mapped into memory where it lies here, and the types that
    `datasets` gave to their columns."""
    import pyarrow as pa
    from pyarrow import ipc

    content = file.content()
    here = isinstance(content, Path)
    try:
        with pa.memory_map(str(content)) if here else pa.BufferReader(content) as data:
            indexed = data.read(len(_FILE)) == _FILE
            data.seek(0)
            reader = (ipc.open_file if indexed else ipc.open_stream)(data)
            said = {k.decode(): v.decode() for k, v in (reader.schema.metadata or {}).items()}
            yield _each(reader) if indexed else iter(reader), features_in(said)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        passing = isinstance(error, OSError) and bool(error.errno)
        raise BrokenFileError(first, passing=passing) from error


def _each(reader: Any) -> Iterator[Any]:
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)
