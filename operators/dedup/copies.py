"""Which rows go as copies of which, as numbers, and as a decision with their ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.dedup.row_tables import RowTables

Places = NDArray[np.int64]

# Rows of a file, and how many stay in memory.
FILE_ROWS = 50_000
IN_MEMORY_ROWS = 200_000
_SCHEMA = {"id": pl.String, "reason": pl.String, "detail": pl.String}


@dataclass(frozen=True)
class Copies:
    """The places of the `rows` that go, which ascend, and of the row `kept` in the place of each,
    among all that were summarized.

    `unverified` is the number of rows that share a key with an earlier one, and stay because they
    are not like it.
    """

    rows: Places
    kept: Places
    unverified: int = 0

    def decision(self, summaries: pl.LazyFrame, reason: str, folder: Path | None) -> pl.LazyFrame:
        """The decision to drop them for a reason, each with the id of the row that it copies.

        Where there is a `folder` for it, many ids are there and not in memory.
        """
        if folder is None or len(self.rows) <= IN_MEMORY_ROWS:
            parts = self._parts(summaries, reason, None)
            return pl.concat([pl.DataFrame(schema=_SCHEMA), *parts]).lazy()
        parts = self._parts(summaries, reason, new_folder(folder, "kept"))
        return _written(parts, folder / "copies.parquet")

    def _parts(
        self, summaries: pl.LazyFrame, reason: str, folder: Path | None
    ) -> Iterator[pl.DataFrame]:
        own, number = np.unique(self.kept, return_inverse=True)
        names = RowTables(folder)
        ids = summaries.select("id")
        for batch in rows_at(ids, own):
            names.add(batch)
        start = 0
        for batch in rows_at(ids, self.rows):
            needed, place = np.unique(number[start : start + batch.height], return_inverse=True)
            start += batch.height
            kept = names.rows(needed)["id"][place] if batch.height else batch["id"]
            yield batch.select(
                "id",
                pl.lit(reason).alias("reason"),
                pl.format("a copy of {}", kept).alias("detail"),
            )


def batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows in order, in tables of many rows; at least one."""
    some = False
    for batch in rows.collect_batches(chunk_size=FILE_ROWS, engine="streaming"):
        some = True
        yield batch
    if not some:
        yield rows.head(0).collect()


def rows_at(rows: pl.LazyFrame, places: Places) -> Iterator[pl.DataFrame]:
    """The rows at these places, which ascend, in tables of many rows; at least one."""
    found: list[pl.DataFrame] = []
    start = yielded = 0
    for batch in batches(rows):
        first, last = np.searchsorted(places, [start, start + batch.height])
        found.append(batch[places[first:last] - start])
        start += batch.height
        if sum(table.height for table in found) >= FILE_ROWS:
            yield pl.concat(found)
            found, yielded = [], yielded + 1
    if found or not yielded:
        yield pl.concat(found)


def new_folder(folder: Path, name: str) -> Path:
    """A folder in another that was not there before."""
    (folder / name).mkdir()
    return folder / name


def _written(parts: Iterator[pl.DataFrame], file: Path) -> pl.LazyFrame:
    import pyarrow.parquet as pq

    writer: Any = None
    for part in parts:
        table = part.to_arrow()
        writer = writer or pq.ParquetWriter(file, table.schema, compression="lz4")
        writer.write_table(table)
    writer.close()
    return pl.scan_parquet(file)
