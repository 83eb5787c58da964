"""Documents that share a key are copies: the first of each cluster stays, the others go."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

Rows = NDArray[np.uint32]

# Fewer are read once; of more, one column of keys at a time is in memory.
IN_MEMORY_ROWS = 200_000


def copies(summaries: pl.LazyFrame, reason: str) -> pl.DataFrame:
    """The decision that drops all but the first row of every cluster.

    `summaries` has an `id` and any number of key columns; keys are compared within their column,
    and a null key is shared with nobody. Two rows are in one cluster when a chain of shared keys
    leads from one to the other. The `detail` of a row is the id of the one that stays.
    """
    if summaries.select(pl.len()).collect().item() <= IN_MEMORY_ROWS:
        summaries = summaries.collect().lazy()
    rows = summaries.with_row_index("row")
    keys = [name for name in summaries.collect_schema().names() if name != "id"]
    linked = [_links(rows.select("row", pl.col(name).alias("key"))) for name in keys]
    links = pl.concat(linked).unique()
    dropped, first = _later_members(links["first"].to_numpy(), links["row"].to_numpy())
    number = rows.collect_schema()["row"]
    table = pl.LazyFrame(
        {"row": pl.Series(dropped, dtype=number), "first": pl.Series(first, dtype=number)}
    )
    ids = rows.select("row", "id")
    members = ids.join(table, on="row").join(ids.rename({"row": "first", "id": "kept"}), on="first")
    decision = members.sort("row").select(
        "id", pl.lit(reason).alias("reason"), pl.format("a copy of {}", "kept").alias("detail")
    )
    return decision.collect(engine="streaming")


def _links(keyed: pl.LazyFrame) -> pl.DataFrame:
    """Each row whose key an earlier row has, with the first row that has it.

    Keys that occur once are out before anything is joined: of a corpus with few copies, little
    more than the keys themselves is ever in memory, and those of one column at a time.
    """
    keyed = keyed.filter(pl.col("key").is_not_null())
    repeated = (
        keyed.group_by("key")
        .agg(pl.len().alias("members"), pl.col("row").min().alias("first"))
        .filter(pl.col("members") > 1)
        .select("key", "first")
    )
    links = keyed.join(repeated, on="key").filter(pl.col("row") != pl.col("first"))
    return links.select("first", "row").collect(engine="streaming")


def _later_members(left: Rows, right: Rows) -> tuple[Rows, Rows]:
    """All rows of the clusters made by the links, but for the first row of each cluster; and these
    first rows, for each of the others."""
    rows, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = ends[: len(left)], ends[len(left) :]
    parent = np.arange(len(rows))
    while True:
        low, high = np.minimum(parent[a], parent[b]), np.maximum(parent[a], parent[b])
        open_links = low != high
        if not open_links.any():
            break
        a, b, low, high = a[open_links], b[open_links], low[open_links], high[open_links]
        # A root joins the lowest root that it is linked to, so parents only ever get lower and the
        # root of a cluster ends as its first row.
        np.minimum.at(parent, high, low)
        while not np.array_equal(parent, grand := parent[parent]):
            parent = grand
    later = np.flatnonzero(parent != np.arange(len(rows)))
    return rows[later], rows[parent[later]]
