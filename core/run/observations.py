"""What a partition leaves for people to look at: how often each signal had which value, kept and
dropped, and some of the rows that transforms changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os.path import commonprefix
from typing import Any

import numpy as np
import polars as pl

from datachef.core.contracts.accounting import parents
from datachef.core.run.steps import AnyStep, FilterStep

# `low` is the least value of its bin; null where there is none. `alone` says that no other rule of
# the filter drops the rows.
SIGNALS: dict[str, Any] = {
    "step": pl.String, "signal": pl.String, "reason": pl.String, "alone": pl.Boolean,
    "low": pl.Float64, "rows": pl.Int64,
}  # fmt: skip
CHANGES: dict[str, Any] = {
    "step": pl.String, "id": pl.String, "source": pl.String, "before": pl.String,
    "after": pl.List(pl.String),
}  # fmt: skip
TOKENS = "tokens"
CHANGED = "text_changed"
# Bins are numbers of 7 binary digits: whole numbers up to 128, beyond 64 bins to a doubling.
_CUT_BITS = 52 - 6
CHANGES_PER_PARTITION = 4
MOST_CHANGES = 12
_SHOWN_CHARACTERS = 2_000
_SHOWN_BEFORE = 300


class Observations:
    """Takes batch by batch what is observed of a partition's rows; use `tables` at its end."""

    def __init__(self) -> None:
        self._signals: dict[str, list[pl.DataFrame]] = {}
        self._edges: dict[str, tuple[float, ...]] = {}
        self._changes: list[pl.DataFrame] = []
        self._changed: dict[str, int] = {}
        self._unchanged: dict[str, int] = {}

    def decided(self, step: FilterStep, rows: pl.DataFrame, reasons: pl.Series) -> None:
        """Takes the decision of a filter on rows, which have its signals as columns."""
        operator = step.operator
        self._edges[step.path] = step.edges
        numbers = [name for name in operator.signal_names() if _is_number(rows.schema[name])]
        alone = pl.repeat(value=True, n=rows.height, dtype=pl.Boolean, eager=True)
        dropped = reasons.is_not_null()
        if dropped.any():
            rules = [
                rule.fill_null(value=False).cast(pl.UInt32) for rule in operator.rules().values()
            ]
            held = rows.filter(dropped).select(pl.sum_horizontal(*rules).alias("held"))["held"]
            alone = alone.scatter(dropped.arg_true(), held <= 1)
        decided = pl.DataFrame([reasons.alias("_reason"), alone.alias("_alone")])
        values = rows.select(pl.col(numbers).cast(pl.Float64)) if numbers else pl.DataFrame()
        self._signals.setdefault(step.path, []).append(decided.hstack(values))

    def measured(self, path: str, name: str, values: pl.Series) -> None:
        """Takes a number of each row, which nothing was decided by."""
        table = values.cast(pl.Float64).alias(name).to_frame()
        self._signals.setdefault(path, []).append(
            table.with_columns(_reason=pl.lit(None, pl.String), _alone=pl.lit(value=True))
        )

    def rewritten(self, step: AnyStep, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Takes what a transform made of rows; of those that it dropped the rejects tell."""
        both = before.select("id", "source", pl.col("text").alias("before"))
        if after["id"].equals(before["id"]):
            same = after["text"].eq_missing(before["text"])
            changed = both.hstack([after["text"].alias("after")]).filter(~same)
            changed = changed.with_columns(pl.concat_list("after"))
        else:
            origins = parents(after["id"], before["id"])
            made = after.select(origins, "text").group_by("id", maintain_order=True)
            both = both.join(made.agg(pl.col("text").alias("after")), "id", maintain_order="left")
            one = pl.col("after").list.len() == 1
            changed = both.filter(
                ~(one & pl.col("after").list.first().eq_missing(pl.col("before")))
            )
        self._changed[step.path] = self._changed.get(step.path, 0) + changed.height
        unchanged = both.height - changed.height
        self._unchanged[step.path] = self._unchanged.get(step.path, 0) + unchanged
        kept = sum(table.height for table in self._changes if table["step"][0] == step.path)
        some = changed.head(CHANGES_PER_PARTITION - kept)
        if some.height:
            self._changes.append(_shown(step.path, some))

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables of the partition by name."""
        counted = [
            # a signal may be a number in one batch and something else in another
            _counted(path, pl.concat(tables, how="diagonal"), self._edges.get(path, ()))
            for path, tables in self._signals.items()
        ]
        counted += [
            pl.DataFrame(
                {
                    "step": path, "signal": CHANGED, "reason": None, "alone": True,
                    "low": [0.0, 1.0], "rows": [self._unchanged[path], changed],
                },
                schema=SIGNALS,
            )
            for path, changed in self._changed.items()
        ]  # fmt: skip
        return {
            "signals": pl.concat([pl.DataFrame(schema=SIGNALS), *counted]),
            "changes": pl.concat([pl.DataFrame(schema=CHANGES), *self._changes]),
        }


def summed_signals(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The counts of all partitions, in an order of their own."""
    keys = [name for name in SIGNALS if name != "rows"]
    total = pl.DataFrame(schema=SIGNALS)
    for table in tables:
        total = pl.concat([total, table]).group_by(keys).agg(pl.col("rows").sum())
    return total.filter(pl.col("rows") > 0).select(list(SIGNALS)).sort(keys)


def some_changes(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Some of the changed rows of each step, spread over the partitions in their order."""
    rows = pl.concat([pl.DataFrame(schema=CHANGES), *tables])
    number, count = pl.int_range(pl.len()).over("step"), pl.len().over("step")
    stride = (count + MOST_CHANGES - 1) // MOST_CHANGES
    return rows.filter(number % stride == 0)


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _counted(path: str, table: pl.DataFrame, edges: Iterable[float]) -> pl.DataFrame:
    bounds = np.unique(np.array([-np.inf, *edges]))
    counts = []
    for name in (name for name in table.columns if name not in ("_reason", "_alone")):
        values = table[name].fill_nan(np.inf)  # greater than any number, as in rules
        low = pl.Series("low", _floors(values.fill_null(0.0).to_numpy(), bounds))
        low = pl.select(pl.when(values.is_not_null()).then(low).alias("low"))["low"]
        keys = pl.DataFrame([table["_reason"].alias("reason"), table["_alone"].alias("alone"), low])
        counts.append(
            keys.group_by("reason", "alone", "low")
            .agg(pl.len().cast(pl.Int64).alias("rows"))
            .with_columns(step=pl.lit(path), signal=pl.lit(name))
            .select(pl.col(column).cast(dtype) for column, dtype in SIGNALS.items())
        )
    return pl.concat([pl.DataFrame(schema=SIGNALS), *counts])


def _floors(values: np.ndarray[Any, Any], bounds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The least value of each value's bin: the value with 7 binary digits, or a bound between."""
    mask = np.int64(-1) << np.int64(_CUT_BITS)
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)  # adding 0 makes -0.0 positive
    # of a negative number the bits grow with its size: towards minus infinity they are rounded up
    up = np.where(bits < 0, ~mask, np.int64(0))
    floors = ((bits + up) & mask).view(np.float64)
    floors = np.where(np.isfinite(values), floors, values)
    bounded: np.ndarray[Any, Any] = np.maximum(
        floors, bounds[np.searchsorted(bounds, values, "right") - 1]
    )
    return bounded


def _shown(path: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with their texts cut to what is near the first change."""
    shown: list[Mapping[str, Any]] = []
    for row in rows.iter_rows(named=True):
        texts = [row["before"] or "", *(text or "" for text in row["after"])]
        alike = len(commonprefix(texts)) if len(texts) == 2 else 0  # noqa: RUF071 - no paths
        first = max(0, alike - _SHOWN_BEFORE)
        cut = [text[first : first + _SHOWN_CHARACTERS] for text in texts]
        if first:
            cut = [f"… {text}" for text in cut]
        shown.append({"step": path, **row, "before": cut[0], "after": cut[1:]})
    return pl.DataFrame(shown, schema=CHANGES)
