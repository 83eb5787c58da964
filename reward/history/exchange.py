"""Histories as Parquet files, which can be committed, mailed and read by anything."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from datachef.core.errors import DatachefError
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.outputs import write_file
from datachef.reward.history.measured import Measured
from datachef.reward.history.rows import COLUMNS, measured_of, row_of


def write_parquet(measurements: Iterable[Measured], path: Path) -> None:
    """Writes measurements in their order: the file holds all of them or what it held before.

    Raises `DatachefError` for a file that is there and was written by something else.
    """
    raw = io.BytesIO()
    pl.DataFrame(list(map(row_of, measurements)), schema=COLUMNS).write_parquet(raw)
    write_file(path, raw.getvalue(), "table of measurements", _is_ours)


def _is_ours(raw: bytes) -> bool:
    return dict(pl.read_parquet_schema(io.BytesIO(raw))) == COLUMNS


def read_parquet(path: Path) -> list[Measured]:
    """The measurements that `write_parquet` wrote. Raises `DatachefError` for any other file."""
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise_environment_failure(error, str(path))
        raise DatachefError(f"cannot read the history {path}: {error}") from error
    try:
        if dict(table.schema) == COLUMNS and not any(table.null_count().row(0)):
            return [measured_of(row) for row in table.iter_rows(named=True)]
    except (ValueError, AttributeError):
        pass
    raise DatachefError(
        f"{path} is a Parquet file of something else", hint="name one made by an export"
    )
