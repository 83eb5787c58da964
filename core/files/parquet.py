"""Parquet files as tables of polars, of whatever types: what polars does not read, Arrow does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datachef.core.files.storage import content_of
from datachef.core.files.tables import Features, features_in, frame_of, is_foreign
from datachef.core.network import NOWHERE, Network
from datachef.core.system_errors import raise_environment_failure

if TYPE_CHECKING:
    import polars as pl


# The first row of a row group, how many rows it has, and the bytes that they take.
_Group = tuple[int, int, int]

# Bytes that are read at once, as they are when unpacked; a row is never divided, nor is a page.
READ_BYTES = 256 * 2**20
# Of a file whose row groups are not known.
_READ_ROWS = 1_000
# So many bytes in the lists of one column may come from few: no more of it is read at once than a
# row, which may hold all of them.
_MOST_IN_LISTS = 2**32
_MOST_EXPANSION = 1_000
_VALUE_BYTES = 8


class ParquetFile:
    """One file, local or behind a URL (which is fetched as a whole).

    Raises `polars.exceptions.PolarsError` or `OSError` where it cannot be read, or is made to take
    far more memory than it has bytes.
    """

    def __init__(self, path: str, network: Network = NOWHERE) -> None:
        import polars as pl

        self._content = content_of(path, network)
        self._foreign = self._has_foreign_types()
        self._scan = None if self._foreign else pl.scan_parquet(self._content, glob=False)

    def count(self) -> int:
        """How many rows the file says that it has."""
        import polars as pl

        if self._scan is None:
            return int(self._arrow().metadata.num_rows)
        with _no_panic():
            return int(self._scan.select(pl.len()).collect().item())

    def features(self) -> Features:
        """The types that `datasets` gave to its columns."""
        import polars as pl

        if self._scan is None:
            known = self._arrow().schema_arrow.metadata or {}
            return features_in({key.decode(): value.decode() for key, value in known.items()})
        return features_in(pl.read_parquet_metadata(self._content))

    def unpacked(self) -> int:
        """How many bytes the rows take when they are unpacked, by what the file says; at least."""
        return sum(size for _, _, size in self._groups(0, None))

    def pieces(self, start: int, stop: int) -> Iterator[pl.DataFrame]:
        """The rows from `start` to `stop` in tables of about `READ_BYTES`, at least a row each."""
        groups = list(self._groups(start, stop)) or [(start, stop - start, 0)]
        while start < stop:
            end = min(self._end_of_piece(groups, start), stop)
            yield self.read(start, end)
            start = end

    def _end_of_piece(self, groups: Sequence[_Group], start: int) -> int:
        end, room = start, float(READ_BYTES)
        for first, rows, size in groups:
            left = first + rows - end
            if left <= 0:
                continue
            fit = int(room * rows / size) if size else _READ_ROWS
            if fit < left:
                end += fit
                break
            end += left
            room -= left * size / rows
        return max(end, start + 1)

    def _groups(self, start: int, stop: int | None) -> Iterator[_Group]:
        """The row groups that hold rows from `start` to `stop`: the first row of each, how many it
        has, and how many bytes they take when they are unpacked; nothing where that is not known.
        """
        import pyarrow as pa

        try:
            metadata = self._metadata
            first = 0
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                rows = group.num_rows
                if rows and first + rows > start and (stop is None or first < stop):
                    yield first, rows, _unpacked(metadata, group)
                first += rows
        except pa.ArrowException as error:
            raise_environment_failure(error)

    @cached_property
    def _metadata(self) -> Any:
        return self._arrow().metadata

    def read(self, start: int, stop: int) -> pl.DataFrame:
        """The rows from `start` to `stop`; row groups outside are not read."""
        import polars as pl

        if self._scan is not None:
            with _no_panic():
                frame = self._scan.slice(start, stop - start).collect()
        else:
            frame = self._read_by_arrow(start, stop)
        if frame.height < stop - start:
            raise pl.exceptions.ComputeError(f"it holds {start + frame.height:,} rows and had more")
        return frame

    def _has_foreign_types(self) -> bool:
        import pyarrow as pa

        try:
            return any(is_foreign(field.type) for field in self._arrow().schema_arrow)
        except (pa.ArrowException, OSError) as error:  # polars tells what is wrong with it
            raise_environment_failure(error)
            if "deeply nested" in str(error):  # polars would crash
                raise OSError("its columns are nested too deeply to be read") from error
            return False

    def _arrow(self) -> Any:
        import pyarrow.parquet

        if isinstance(self._content, Path):
            return pyarrow.parquet.ParquetFile(self._content)
        return pyarrow.parquet.ParquetFile(pyarrow.BufferReader(self._content.getvalue()))

    def _read_by_arrow(self, start: int, stop: int) -> pl.DataFrame:
        import polars as pl
        import pyarrow as pa

        try:
            file = self._arrow()
            groups, skipped, first = [], 0, 0
            for group in range(file.metadata.num_row_groups):
                last = first + file.metadata.row_group(group).num_rows
                if last <= start:
                    skipped = last
                elif first < stop:
                    groups.append(group)
                first = last
            return self._read_batches(file, groups, start - skipped, stop - start)
        except (pa.ArrowException, OverflowError) as error:
            raise_environment_failure(error)
            raise pl.exceptions.ComputeError(str(error)) from error

    def _read_batches(self, file: Any, groups: list[int], before: int, rows: int) -> pl.DataFrame:
        """So many rows of row groups, after those before them, which are not held in memory."""
        import pyarrow as pa

        found = []
        for batch in file.iter_batches(_READ_ROWS, row_groups=groups):
            part = batch.slice(min(before, batch.num_rows), rows)
            before = max(0, before - batch.num_rows)
            rows -= part.num_rows
            found.append(part)
            if not rows:
                break
        return frame_of(pa.Table.from_batches(found, None if found else file.schema_arrow))


def _unpacked(metadata: Any, group: Any) -> int:
    """The bytes that a row group takes when it is unpacked. Raises `OSError` for one that holds
    lists of billions of values in next to nothing, of which one row could be all."""
    size = 0
    for place in range(group.num_columns):
        column = group.column(place)
        values = column.num_values * _VALUE_BYTES
        packed = column.total_uncompressed_size
        nested = metadata.schema.column(place).max_repetition_level > 0
        if nested and values > max(_MOST_IN_LISTS, _MOST_EXPANSION * packed):
            raise OSError(
                f"its column {column.path_in_schema!r} makes {values:,} bytes of {packed:,}; write "
                "it with smaller row groups, or without this column"
            )
        size += max(packed, values)
    return size


@contextmanager
def _no_panic() -> Iterator[None]:
    """What polars breaks on is an error of the file."""
    import polars as pl

    try:
        yield
    except pl.exceptions.PanicException as error:
        message = f"it holds what polars does not read ({error})"
        raise pl.exceptions.ComputeError(message) from error
