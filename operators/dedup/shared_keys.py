"""Which rows have a key in common: of one part of all keys, read in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from datachef.operators.dedup.copies import Places, batches
from datachef.operators.dedup.row_tables import RowTables

# Columns with keys begin with it: rows that have one in common are candidates.
KEY = "key"
# Keys that are written to disk together, and that are grouped together.
KEYS_AT_ONCE = 1_000_000
# By their hashes the keys of a column fall into so many bins, of which one or more are grouped.
_BINS = 256


def key_columns(summaries: pl.LazyFrame) -> list[str]:
    return [name for name in summaries.collect_schema().names() if name.startswith(KEY)]


class SharedKeys:
    """The keys of all rows that fall into one of `count` parts, by the hash of the key.

    A key that is null is shared with nobody, and what is in two columns is not the same key. With a
    `folder` they are there, each about 16 bytes.
    """

    def __init__(self, summaries: pl.LazyFrame, folder: Path | None, part: int, count: int) -> None:
        self.rows = 0
        self._part = part, count
        self._tables = RowTables(folder)
        self._starts: list[Places] = []
        self._names = key_columns(summaries)
        waiting: list[pl.DataFrame] = []
        for batch in batches(summaries.select(self._names).with_row_index("row")):
            self.rows += batch.height
            waiting += [self._own(batch, number) for number in range(len(self._names))]
            if sum(table.height for table in waiting) >= KEYS_AT_ONCE:
                self._add(pl.concat(waiting))
                waiting = []
        if waiting:
            self._add(pl.concat(waiting))

    def _own(self, batch: pl.DataFrame, number: int) -> pl.DataFrame:
        """The keys of a column that are of this part, each with the number of its bin."""
        part, count = self._part
        key = pl.col(self._names[number])
        place = key.hash(seed=0) % (_BINS * count)
        own = batch.lazy().select("row", key.alias(KEY), place.alias("bin"))
        own = own.filter(pl.col(KEY).is_not_null() & (pl.col("bin") % count == part))
        bins = pl.col("bin") // count + number * _BINS
        return own.with_columns(bins.cast(pl.UInt16)).collect()

    def _add(self, keys: pl.DataFrame) -> None:
        keys = keys.sort("bin")
        bins = np.arange(len(self._names) * _BINS + 1)
        self._starts.append(keys["bin"].to_numpy().searchsorted(bins))
        self._tables.add(keys.drop("bin"))

    def groups(self) -> Iterator[pl.DataFrame]:
        """`row` and `bucket` of every key that several rows have, in tables that share no key."""
        for number in range(len(self._names)):
            bins = np.arange(number * _BINS, (number + 1) * _BINS + 1)
            height = sum(int(starts[bins[-1]] - starts[bins[0]]) for starts in self._starts)
            pieces = min(-(-height // KEYS_AT_ONCE), _BINS)
            for first, last in pairwise(bins[np.linspace(0, _BINS, pieces + 1).astype(int)]):
                yield _repeated(self._between(first, last))

    def _between(self, first: int, last: int) -> pl.DataFrame:
        """The keys of some bins of one column."""
        return pl.concat(
            self._tables.table(number)[int(starts[first]) : int(starts[last])]
            for number, starts in enumerate(self._starts)
        )


def _repeated(keys: pl.DataFrame) -> pl.DataFrame:
    counted = keys.group_by(KEY).agg(pl.len()).filter(pl.col("len") > 1)
    return keys.join(counted.drop("len").with_row_index("bucket"), on=KEY).select("row", "bucket")
