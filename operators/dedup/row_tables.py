"""Rows that are asked for by their places, in memory or in files that are mapped into it."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Files that are open at once; what was read of them counts as memory of the process. Rows are asked
# for in their order, so more would help only where all are open.
OPEN = 2


class RowTables:
    """Tables of one schema, which are added one after the other, as one long table.

    With a `folder` each is an Arrow file there, of which reading some rows reads little else.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._tables: OrderedDict[int, pl.DataFrame] = OrderedDict()
        self._starts = [0]
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def height(self) -> int:
        """The rows of all tables."""
        return self._starts[-1]

    def add(self, table: pl.DataFrame) -> None:
        number = len(self)
        if self._folder is None:
            self._tables[number] = table
        else:
            # One batch: of several a row would be looked for.
            table.write_ipc(self._file(number), record_batch_size=max(table.height, 1))
        self._starts.append(self.height + table.height)
        self.bytes += int(table.estimated_size())

    def table(self, number: int) -> pl.DataFrame:
        """The table that was added as the `number`-th, from 0."""
        if self._folder is None:
            return self._tables[number]
        if number not in self._tables:
            self._tables[number] = _mapped(self._file(number))
            if len(self._tables) > OPEN:
                self._tables.popitem(last=False)
        self._tables.move_to_end(number)
        return self._tables[number]

    def rows(self, places: NDArray[np.int64]) -> pl.DataFrame:
        """The rows at these places, which ascend."""
        cuts = np.searchsorted(places, self._starts)
        parts = [
            self.table(number)[places[first:last] - self._starts[number]]
            for number, (first, last) in enumerate(pairwise(cuts.tolist()))
            if last > first
        ]
        return pl.concat(parts) if parts else self.table(0).head(0)

    def column(self, name: str) -> pl.Series:
        """One column of all tables."""
        return pl.concat([self.table(number)[name].clone() for number in range(len(self))])

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number}.arrow"


def _mapped(file: Path) -> pl.DataFrame:
    import pyarrow as pa

    with pa.memory_map(str(file)) as mapped:
        table = pl.from_arrow(pa.ipc.open_file(mapped).read_all())
    assert isinstance(table, pl.DataFrame)
    return table
