"""Which rows came out of a batch, which did not, and how many are new."""

from __future__ import annotations

import polars as pl

from datachef.core.errors import PluginError
from datachef.core.operator import Outcome


def rejected(batch: pl.DataFrame, keep: pl.Series, reason: pl.Series | str) -> pl.DataFrame | None:
    """The rows of the batch where `keep` is false, with their reason; None where there is none."""
    if keep.all():
        return None
    column = pl.lit(reason) if isinstance(reason, str) else reason
    return batch.with_columns(column.alias("reason")).filter(~keep)


def account(
    op: str,
    batch: pl.DataFrame,
    result: pl.DataFrame,
    max_rows: int | None,
    reason: str = "emptied",
) -> Outcome:
    """Compares what went in and came out by `id`, and numbers the rows made of one row.

    Raises `PluginError` when the result has rows that no input row accounts for, or more rows of
    one than `max_rows` allows.
    """
    ids = batch["id"]
    if result.height == batch.height and result["id"].equals(ids):
        return Outcome(result)
    unknown = result.filter(~pl.col("id").is_in(ids.implode()))
    if unknown.height:
        raise PluginError(
            f"{op} returned rows that it was not given (id {unknown['id'][0]!r})",
            hint="a transform keeps the id of the row it rewrites; datachef numbers the copies",
        )
    number = pl.int_range(pl.len()).over("id")
    most = int(result.select(number.max()).item() or 0) + 1
    if max_rows is not None and most > max_rows:
        raise PluginError(
            f"{op} made {most} rows of one and promises at most {max_rows}",
            hint="set max_rows on the operator class",
        )
    dropped = rejected(batch, ids.is_in(result["id"].implode()), reason)
    if most > 1:
        many = pl.len().over("id") > 1
        named = pl.col("id") + "." + number.cast(pl.String)
        new_id = pl.when(many).then(named).otherwise(pl.col("id"))
        result = result.with_columns(new_id.alias("id"))
    survivors = batch.height - (0 if dropped is None else dropped.height)
    return Outcome(result, dropped, created=result.height - survivors)
