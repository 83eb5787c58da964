"""How many rows a share and a number of rows leave."""

from __future__ import annotations

import polars as pl


def quota(share: float, rows: int | None, available: pl.Expr) -> pl.Expr:
    """The share of what is available, rounded half up, and never more than `rows`."""
    wanted = (available * share + 0.5).floor().cast(pl.Int64)
    return wanted if rows is None else pl.min_horizontal(wanted, pl.lit(rows))
