"""Which rows came out of a batch, which did not, and how many are new."""

from __future__ import annotations

from typing import Any

import polars as pl

from datachef.core.errors import PluginError
from datachef.core.operator import Outcome

# What every row has, as strings.
ESSENTIAL = ("id", "source", "text")


def frame_of(answer: Any, what: str, *columns: str) -> pl.DataFrame:
    """The answer of an operator's method (`what`), which has to be a frame with these columns.

    Raises `PluginError` where it is not; `id`, `source`, `text` and `reason` have to be strings.
    """
    if not isinstance(answer, pl.DataFrame):
        hint = "collect() it" if isinstance(answer, pl.LazyFrame) else ""
        kind = "None" if answer is None else f"a {type(answer).__name__}"
        raise PluginError(f"{what} gave {kind}, not a polars DataFrame", hint)
    for name in columns:
        if name not in answer.columns:
            raise PluginError(f"{what} gave rows without {name!r}", f"keep the column {name}")
        dtype = answer.schema[name]
        if name in (*ESSENTIAL, "reason") and dtype not in (pl.String, pl.Null):
            raise PluginError(f"{what} gave {name!r} as {dtype}, not as String")
    return answer


def outcome_of(answer: Any, what: str, batch: pl.DataFrame) -> Outcome:
    """The answer of a method that has to account for every row of the batch.

    Raises `PluginError` where it is no `Outcome`, or one whose rows do not add up.
    """
    if not isinstance(answer, Outcome):
        kind = "None" if answer is None else f"a {type(answer).__name__}"
        raise PluginError(f"{what} gave {kind}, not an Outcome")
    essential = [name for name in ESSENTIAL if name in batch.columns]
    told = frame_of(answer.rows, f"{what} rows", *essential).height
    for part in ("dropped", "failed"):
        rejects = getattr(answer, part)
        if rejects is not None:
            told += frame_of(rejects, f"{what} {part}", *essential, "reason").height
            if rejects["reason"].null_count():
                raise PluginError(f"{what} {part} holds rows without a reason")
    if told != batch.height + answer.created:
        raise PluginError(
            f"{what} took {batch.height} rows and tells of {told}, of them {answer.created} new"
        )
    return answer


def rejected(
    batch: pl.DataFrame,
    keep: pl.Series,
    reason: pl.Series | str,
    detail: pl.Series | None = None,
) -> pl.DataFrame | None:
    """The rows of the batch where `keep` is false, with their `reason` and `detail` in the place of
    columns of such names; None where there is none."""
    if keep.all():
        return None
    column = pl.lit(reason) if isinstance(reason, str) else reason
    more = pl.lit("") if detail is None else detail
    return batch.with_columns(column.alias("reason"), more.alias("detail")).filter(~keep)


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
    unknown = result.filter(~pl.col("id").is_in(ids.implode()).fill_null(value=False))
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
