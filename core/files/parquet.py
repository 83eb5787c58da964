"""Parquet files as tables of polars, of whatever types: what polars does not read, Arrow does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datachef.core.files.storage import content_of
from datachef.core.files.tables import Features, features_in, frame_of, is_foreign
from datachef.core.system_errors import raise_environment_failure

if TYPE_CHECKING:
    import polars as pl


class ParquetFile:
    """One file, local or behind a URL (which is fetched as a whole).

    Raises `polars.exceptions.PolarsError` or `OSError` where it cannot be read.
    """

    def __init__(self, path: str) -> None:
        import polars as pl

        self._content = content_of(path)
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
            table = file.read_row_groups(groups)
            return frame_of(table.slice(start - skipped, stop - start))
        except (pa.ArrowException, OverflowError) as error:
            raise_environment_failure(error)
            raise pl.exceptions.ComputeError(str(error)) from error


@contextmanager
def _no_panic() -> Iterator[None]:
    """What polars breaks on is an error of the file."""
    import polars as pl

    try:
        yield
    except pl.exceptions.PanicException as error:
        message = f"it holds what polars does not read ({error})"
        raise pl.exceptions.ComputeError(message) from error
