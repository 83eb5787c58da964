"""How much of each language and group of rows a recipe keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from datachef.core.errors import DatachefError
from datachef.reward.guardrails.limits import Group

# Of fewer sampled rows, a ratio says more about chance than about the recipe.
ENOUGH_ROWS = 30


@dataclass(frozen=True)
class Retention:
    """Rows after by rows before; `sampled` is the number of sampled rows before."""

    ratio: float
    sampled: int


def retained(before: pl.DataFrame, after: pl.DataFrame) -> Retention | None:
    """The retention of all these rows, by their `weight`; None where there were none."""
    weight = float(before["weight"].sum())
    return Retention(float(after["weight"].sum()) / weight, before.height) if weight > 0 else None


def by_language(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, Retention]:
    """The retention of every `language` that there was before, by its code."""
    found = {}
    for language in sorted(before["language"].unique()):
        spoken = pl.col("language") == language
        if retention := retained(before.filter(spoken), after.filter(spoken)):
            found[language] = retention
    return found


def by_group(
    before: pl.DataFrame, after: pl.DataFrame, groups: Mapping[str, Group]
) -> dict[str, Retention]:
    """The retention of every named group that there was before.

    Where the recipe dropped the column of a group, its rows are known by their `id`. Raises
    `DatachefError` for a column that was not there before either.
    """
    found = {}
    for name, group in sorted(groups.items()):
        column = group.column
        kept = after
        if column is not None:
            if column not in before.columns:
                raise DatachefError(
                    f"the group {name} looks at the column {column!r}, which no source has",
                    hint=f"columns there: {', '.join(sorted(before.columns))}",
                )
            if column not in after.columns:
                values = before.select("id", column).unique("id", maintain_order=True)
                kept = after.join(values, on="id", how="left")
        belongs = _belongs(group)
        if retention := retained(before.filter(belongs), kept.filter(belongs)):
            found[name] = retention
    return found


def gap(retentions: Iterable[Retention]) -> float:
    """What the worst kept of these lost beside the best kept, from 0 (nothing) to 1 (all).

    Leaves out those of fewer than `ENOUGH_ROWS` sampled rows.
    """
    ratios = [retention.ratio for retention in retentions if retention.sampled >= ENOUGH_ROWS]
    highest = max(ratios, default=0.0)
    return 1 - min(ratios) / highest if highest > 0 else 0.0


def _belongs(group: Group) -> pl.Expr:
    if group.column is not None:
        value = pl.col(group.column)
        if group.values is None:
            return value.is_not_null()
        return value.cast(pl.String).is_in([_as_text(v) for v in group.values])
    pattern = group.pattern
    if group.words is not None:
        pattern = rf"(?i)\b(?:{'|'.join(map(re.escape, group.words))})\b"
    return pl.col("text").str.contains(pattern or "")


def _as_text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
