"""Rows selected by one number for each: their ids, which are long, are never in memory together.

For `resolve` of corpus operators, whose summaries have the columns that are named here.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

_READ_ROWS = 100_000


def sampling_priority(ids: pl.Series, seed: int) -> pl.Series:
    """One uniform 64-bit number per id; the same for any batch, machine and library version."""
    import numpy as np
    import polars as pl

    key = seed.to_bytes(8, "little", signed=False)
    digests = b"".join(blake2b(i.encode(), digest_size=8, key=key).digest() for i in ids)
    return pl.Series("priority", np.frombuffer(digests, dtype="<u8").astype(np.uint64))


def sampling_priorities(summaries: pl.LazyFrame, seed: int) -> NDArray[np.uint64]:
    """The `sampling_priority` of the `id` of every row that was summarized."""
    import numpy as np

    batches = summaries.select("id").collect_batches(chunk_size=_READ_ROWS, maintain_order=True)
    found = [sampling_priority(batch["id"], seed).to_numpy() for batch in batches]
    return np.concatenate([np.zeros(0, np.uint64), *found])


def lowest(numbers: NDArray[np.generic], count: int) -> NDArray[np.bool_]:
    """Which are the `count` lowest numbers, NaN after all others; of equal ones the first."""
    import numpy as np

    if count <= 0:
        return np.zeros(len(numbers), np.bool_)
    if count >= len(numbers):
        return np.ones(len(numbers), np.bool_)
    last = np.partition(numbers, count - 1)[count - 1]
    unknown = np.isnan(numbers)
    found: NDArray[np.bool_] = ~unknown if np.isnan(last) else numbers < last
    equal = unknown if np.isnan(last) else numbers == last
    found[np.flatnonzero(equal)[: count - int(found.sum())]] = True
    return found


def beside_ids(summaries: pl.LazyFrame, **columns: NDArray[np.generic]) -> pl.LazyFrame:
    """The `id` of every row that was summarized, and beside it columns of the same length."""
    import polars as pl

    table = pl.LazyFrame({name: pl.Series(column) for name, column in columns.items()})
    return pl.concat([summaries.select("id"), table], how="horizontal")


def rows_dropped(summaries: pl.LazyFrame, gone: NDArray[np.bool_], reason: str) -> pl.LazyFrame:
    """The decision to drop rows: `gone` says of each that was summarized whether it goes."""
    import polars as pl

    dropped = beside_ids(summaries, gone=gone).filter("gone")
    return dropped.select("id", pl.lit(reason).alias("reason"))
