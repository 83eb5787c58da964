"""The summaries of all units as one table, without a file open for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.run.store import Store

Scan = Callable[[], pl.LazyFrame]

# Compressed; a corpus of millions of rows has more, and is merged on disk.
IN_MEMORY_BYTES = 64 * 2**20
MOST_FILES = 32


@contextmanager
def merged(store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[pl.LazyFrame]:
    """Tables of the store, by key and facts, one after the other in their order.

    Little is read at once; much is merged into ever larger files first, with at most `MOST_FILES`
    of them open, however many there are.
    """
    if sum(facts.get("bytes", 0) for _, facts in tables) <= IN_MEMORY_BYTES:
        yield pl.concat([store.read(key, facts) for key, facts in tables]).lazy()
        return
    with store.scratch_folder() as folder:
        scans: list[Scan] = [partial(store.scan, key, facts) for key, facts in tables]
        level = 0
        while len(scans) > MOST_FILES:
            scans = _fewer(scans, folder / str(level))
            level += 1
        yield pl.concat([scan() for scan in scans])


def _fewer(scans: Sequence[Scan], folder: Path) -> list[Scan]:
    """Every `MOST_FILES` tables merged into one."""
    folder.mkdir()
    larger: list[Scan] = []
    for start in range(0, len(scans), MOST_FILES):
        file = folder / f"{start}.parquet"
        group = [scan() for scan in scans[start : start + MOST_FILES]]
        pl.concat(group).sink_parquet(file, compression="lz4")
        larger.append(partial(pl.scan_parquet, file))
    return larger
