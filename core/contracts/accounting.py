"""Which rows came out of a batch, which did not, and how many are new."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any

import polars as pl

from datachef.core.contracts.operator import Outcome
from datachef.core.errors import PluginError

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
    created = answer.created
    if not isinstance(created, Integral) or isinstance(created, bool) or created < 0:
        raise PluginError(f"{what} created {created!r} rows, not a number of rows")
    rows = frame_of(answer.rows, f"{what} rows", *essential)
    gone = [pl.Series("id", [], pl.String)]
    for part in ("dropped", "failed"):
        rejects = getattr(answer, part)
        if rejects is not None:
            gone.append(frame_of(rejects, f"{what} {part}", *essential, "reason")["id"])
            if rejects["reason"].null_count():
                raise PluginError(f"{what} {part} holds rows without a reason")
    for name, count in (*answer.counted.items(), *answer.effort.items()):
        if not isinstance(name, str) or not isinstance(count, Integral) or count < 0:
            raise PluginError(f"{what} counted {count!r} as {name!r}, not a number by name")
    told = rows.height + sum(map(len, gone))
    if told != batch.height + created:
        raise PluginError(
            f"{what} took {batch.height} rows and tells of {told}, of them {created} new"
        )
    _refuse_other_rows(what, batch, rows, pl.concat([g.cast(pl.String) for g in gone]))
    return replace(answer, created=int(created))


def parents(made: pl.Series, given: pl.Series) -> pl.Series:
    """The ids of the rows of which rows were made, for the ids of both: an id that was given is its
    own, and one that was not is the number of a copy (`~2`) or of a piece (`.0`) of another."""
    known = made.is_in(given.implode())
    return made.zip_with(known, made.str.replace(r"[.~]\d+$", "")).alias("id")


def _refuse_other_rows(what: str, batch: pl.DataFrame, rows: pl.DataFrame, gone: pl.Series) -> None:
    """Raises `PluginError` unless every row of the batch is either among the rows, perhaps several
    times, or once among those that are gone, and no other row is."""
    ids = batch["id"]
    if rows["id"].is_duplicated().any():
        twice = rows["id"].filter(rows["id"].is_duplicated())[0]
        raise PluginError(
            f"{what} gave the row {twice!r} more than once",
            "number what is made of a row: its id and .0, .1, or ~2 for a second copy",
        )
    origins = parents(rows["id"], ids)
    for found in (origins, gone):
        strange = found.filter(~found.is_in(ids.implode()).fill_null(value=False))
        if len(strange):
            raise PluginError(
                f"{what} gave rows that it was not given (id {strange[0]!r})",
                "keep the id of a row; of several made of one it is the id and .0, .1",
            )
    accounted = pl.concat([origins.unique(), gone])
    if len(accounted) != batch.height or accounted.is_duplicated().any():
        lost = ids.filter(~ids.is_in(accounted.implode()))
        row = lost[0] if len(lost) else accounted.filter(accounted.is_duplicated())[0]
        how = "is lost" if len(lost) else "appears twice"
        raise PluginError(f"{what}: the row {row!r} {how}")
    refuse_other_source(what, batch, rows.select("source").insert_column(0, origins))


def refuse_other_source(what: str, batch: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Raises `PluginError` where a row (`id` and `source`) is no longer of the source that it was
    read from, by which it is counted."""
    if "source" not in batch.columns:
        return
    sources = batch["source"]
    if batch.height and sources.n_unique() == 1:
        same = rows["source"] == sources[0]
    else:
        owners = batch.select("id", pl.col("source").alias("own")).unique("id")
        both = rows.select("id", "source").join(owners, "id", "left", maintain_order="left")
        same = both["source"] == both["own"]
    if not same.fill_null(value=False).all():
        row = rows.filter(~same.fill_null(value=False))["id"][0]
        raise PluginError(
            f"{what} changes the source of the row {row!r}", "keep the column source as it is"
        )


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


def joined_rejects(*parts: pl.DataFrame | None) -> pl.DataFrame | None:
    """The rejected rows of all parts; None where there is none."""
    some = [part for part in parts if part is not None]
    return pl.concat(some) if some else None


def reasons_of(answer: Any, what: str, batch: pl.DataFrame) -> pl.Series:
    """The reasons that an operator's method (`what`) gives for the rows of a batch: strings, null
    for a row that stays.

    Raises `PluginError` where they are not.
    """
    if not isinstance(answer, pl.Series) or len(answer) != batch.height:
        raise PluginError(f"{what} gave reasons that are no series with one for each row")
    if answer.dtype not in (pl.String, pl.Null):
        raise PluginError(f"{what} gave reasons as {answer.dtype}, not as String")
    return answer


def account(
    op: str,
    batch: pl.DataFrame,
    result: pl.DataFrame,
    max_rows: int | None,
    reason: str = "emptied",
) -> Outcome:
    """Compares what went in and came out by `id`, and numbers the rows made of one row.

    Rows come out in the order in which they went in, however the operator left them: joins and
    groups give another at every run.

    Raises `PluginError` when the result has rows that no input row accounts for, or more rows of
    one than `max_rows` allows.
    """
    ids = batch["id"]
    refuse_other_source(op, batch, result)
    if result.height == batch.height and result["id"].equals(ids):
        return Outcome(result)
    unknown = result.filter(~pl.col("id").is_in(ids.implode()).fill_null(value=False))
    if unknown.height:
        raise PluginError(
            f"{op} returned rows that it was not given (id {unknown['id'][0]!r})",
            hint="a transform keeps the id of the row it rewrites; datachef numbers the copies",
        )
    result = _in_order_of(ids, result)
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


def _in_order_of(ids: pl.Series, result: pl.DataFrame) -> pl.DataFrame:
    places = pl.DataFrame({"id": ids, "place": pl.int_range(len(ids), eager=True)}).unique("id")
    at = result.select("id").join(places, "id", "left", maintain_order="left")["place"]
    return result if at.is_sorted() else result[at.arg_sort()]
