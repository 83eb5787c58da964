"""The order in which a shuffled corpus holds its rows: a number for each row, from the seed alone.

A row's number is a hash of the seed and its id, so that any stretch of the corpus is a fair sample
of all sources. Copies of a row are spread over the whole corpus: of `n` copies, any two lie at
least a half of 1/n of it apart, and each pass over a source has an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from datachef.core.run.unique_ids import refuse_neighbouring_copies
from datachef.core.sampling import priority

if TYPE_CHECKING:
    from datachef.core.survey import Survey

# Rows are sorted so many bytes at a time, by estimate.
RANGE_BYTES = 16 * 2**20
MOST_RANGES = 256
UNPACKED = 4
_COPY = r"~(\d+)((?:\.\d+)*)$"


def ranges_for(surveys: Iterable[Survey]) -> int:
    """Into how many ranges of about `RANGE_BYTES` to cut the order, as a power of two."""
    sizes = [found.size * (UNPACKED if found.packed else 1) for found in surveys]
    wanted = MOST_RANGES if not all(sizes) else -(-sum(sizes) // RANGE_BYTES)
    return 1 << (min(max(wanted, 1), MOST_RANGES) - 1).bit_length()


def numbers(ids: pl.Series, seed: int, copies: int) -> pl.Series:
    """The place of each row on a circle of 2**64, of a source whose rows have up to `copies`."""
    if copies == 1:
        return priority(ids, seed)
    originals = ids.str.replace(_COPY, "${2}")
    copy = ids.str.extract(_COPY).cast(pl.UInt64, strict=False).fill_null(1).to_numpy() - np.uint64(
        1
    )
    own = priority(ids, seed).to_numpy() // np.uint64(2 * copies)
    step = np.uint64(2**64 // copies)
    place = priority(originals, seed).to_numpy() + (copy % np.uint64(copies)) * step + own
    return pl.Series("priority", place)


def cut(rows: pl.DataFrame, number: pl.Series, ranges: int) -> list[pl.DataFrame]:
    """The rows of each range in order, with their numbers as the last column."""
    name = "number"
    while name in rows.columns:
        name += "_"
    table = rows.with_columns(number.alias(name)).sort(name, "id")
    inner = np.array([start * (2**64 // ranges) for start in range(1, ranges)], dtype=np.uint64)
    bounds = np.searchsorted(table[name].to_numpy(), inner).tolist()
    return [table[start:stop] for start, stop in pairwise([0, *bounds, table.height])]


def joined(tables: Sequence[tuple[pl.Series, pl.DataFrame]]) -> pl.DataFrame:
    """The rows of one range in order, from tables of it with their numbers."""
    number = pl.concat([numbers for numbers, _ in tables])
    rows = pl.concat([rows for _, rows in tables])
    places = pl.DataFrame([number.alias("number"), rows["id"]])
    rows = rows[places.select(pl.arg_sort_by("number", "id")).to_series()]
    refuse_neighbouring_copies(rows["id"])
    return rows
