"""Measures and decides a run of consecutive filters in one pass over the batch."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datachef.core.errors import PluginError
from datachef.core.filter import Filter


def column(index: int, name: str) -> str:
    """Where a signal of the filter at `index` stands in the table of measurements."""
    return f"{index}.{name}"


def measure(filters: Sequence[Filter], batch: pl.DataFrame) -> pl.DataFrame:
    """All lasting signals of all filters: one row per row of the batch, columns by `column()`.

    Expressions run as one lazy query, where equal ones are computed once; so do intermediates, of
    which filters that write the same expression under the same name share one.
    """
    columns: dict[str, pl.Series] = {}
    for members in _agreeing(filters):
        intermediates: dict[str, pl.Expr] = {}
        for index in members:
            intermediates |= _intermediates(filters[index])
        view = batch.lazy().with_columns(**intermediates).collect() if intermediates else batch
        expressions = []
        for index in members:
            for name, signal in filters[index].signals().items():
                if name.startswith("_"):
                    continue
                if isinstance(signal, pl.Expr):
                    expressions.append(signal.alias(column(index, name)))
                else:
                    values = signal(view)
                    _refuse_wrong_length(filters[index].op, name, values, batch.height)
                    columns[column(index, name)] = values
        if expressions:
            columns |= view.lazy().select(expressions).collect().to_dict()
    return pl.DataFrame(columns)


def decide(operator: Filter, signals: pl.DataFrame) -> pl.Series:
    """The reason for which each row is dropped, null where it is kept.

    `signals` has the columns of the batch and this filter's signals under their own names.
    """
    reason = pl.lit(None, pl.String)
    for name, rejects in reversed(list(operator.rules().items())):
        reason = pl.when(rejects).then(pl.lit(name)).otherwise(reason)
    return signals.select(reason.alias("reason"))["reason"]


def _agreeing(filters: Sequence[Filter]) -> list[list[int]]:
    """Indices of filters in groups within which one intermediate name means one expression."""
    groups: list[tuple[list[int], dict[str, pl.Expr]]] = []
    for index, operator in enumerate(filters):
        own = _intermediates(operator)
        for members, known in groups:
            if all(name not in known or known[name].meta.eq(own[name]) for name in own):
                members.append(index)
                known.update(own)
                break
        else:
            groups.append(([index], own))
    return [members for members, _ in groups]


def _intermediates(operator: Filter) -> dict[str, pl.Expr]:
    found = {}
    for name, signal in operator.signals().items():
        if name.startswith("_"):
            if not isinstance(signal, pl.Expr):
                raise PluginError(f"{operator.op}: the intermediate {name} must be an expression")
            found[name] = signal
    return found


def _refuse_wrong_length(op: str, name: str, values: pl.Series, height: int) -> None:
    if len(values) != height:
        raise PluginError(
            f"the signal {name} of {op} has {len(values)} values for a batch of {height} rows",
            hint="a signal gives one value per row, in the order of the batch",
        )
