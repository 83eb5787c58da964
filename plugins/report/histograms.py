"""Histograms of signals, and what another threshold would drop, both exactly as counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sinh
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from datachef.core import FinishedRun
from datachef.core.pages.rendering import number

WIDTH, HEIGHT = 320, 90
BARS = 48
# A signal whose large values are so many times its middle one is drawn by its order of magnitude.
_SKEWED = 20
# A bar so many times as high as the next is cut off.
_TOWERING = 4
_Numbers: TypeAlias = np.ndarray[Any, Any]
_DROPPED = pl.col("reason").is_not_null()


@dataclass(frozen=True)
class Cut:
    """A threshold that can be moved: at each of its `positions` (x) it has one of the `values`, and
    the step drops one of the numbers of rows in `drops`. `at` is where the recipe has it; there it
    drops `alone` rows that no other rule drops."""

    parameter: str
    reason: str
    drops_above: bool
    alone: int
    at: int
    positions: Sequence[float]
    values: Sequence[str]
    drops: Sequence[int]


@dataclass(frozen=True)
class Histogram:
    """A signal of a step, its bars as SVG paths: rows that its threshold decides on (`free`), and
    rows that are dropped for other reasons (`others`). Without a threshold that can be moved there
    is no `cut`; `cut_off` are bars that do not fit, by place and rows."""

    step: str
    signal: str
    rows: int
    kept: int
    free: str
    others: str
    cut_off: Sequence[tuple[float, int]]
    ends: Sequence[str]
    cut: Cut | None

    @property
    def idle(self) -> bool:
        """Whether its threshold drops no row by itself."""
        return self.cut is not None and self.cut.alone == 0


def histograms(run: FinishedRun, positions: int) -> dict[str, list[Histogram]]:
    """The histograms of all steps that measure signals, by step: one for each threshold, that
    which drops most by itself first, and one for each signal without any. A threshold can be moved
    to about `positions` places."""
    found: dict[str, list[Histogram]] = {}
    signals = run.signals.partition_by("step", "signal", as_dict=True)
    for entry in run.ledger:
        for (step, signal), table in signals.items():
            if step != entry.path:
                continue
            cuts = run.thresholds.filter(pl.col("step") == step, pl.col("signal") == signal)
            found.setdefault(entry.path, []).extend(
                [_histogram(table, cut, positions) for cut in cuts.iter_rows(named=True)]
                or [_histogram(table, None, positions)]
            )
    for those in found.values():
        those.sort(key=lambda histogram: histogram.cut is None or -histogram.cut.alone)
    return found


def _histogram(
    table: pl.DataFrame, threshold: dict[str, object] | None, positions: int
) -> Histogram:
    decided = table.filter(pl.col("low").is_not_null()).sort("low")
    free = pl.col("reason").is_null()
    if threshold is not None:
        free |= (pl.col("reason") == threshold["reason"]) & pl.col("alone")
    split = decided.with_columns(free.fill_null(value=False).alias("free"))
    lows = split["low"].to_numpy()
    rows = split["rows"].to_numpy()
    axis = _Axis.of(lows, rows)
    ours = split["free"].to_numpy()
    counts = [axis.counts(lows[side], rows[side]) for side in (ours, ~ours)]
    together = counts[0] + counts[1]
    highest = _highest(together)
    total, dropped = _sum(table), _sum(table, _DROPPED)
    cut = None
    if threshold is not None:
        cut = _cut(split.filter("free"), dropped, threshold, axis, positions)
    return Histogram(
        step=table["step"][0],
        signal=table["signal"][0],
        rows=total,
        kept=total - dropped,
        free=_bars(counts[0], np.zeros(BARS), highest),
        others=_bars(counts[1], counts[0], highest),
        cut_off=[
            (round(index * WIDTH / BARS, 1), int(count))
            for index, count in enumerate(together)
            if count > highest
        ],
        ends=axis.ends,
        cut=cut,
    )


def _cut(
    free: pl.DataFrame, total: int, threshold: dict[str, object], axis: _Axis, positions: int
) -> Cut:
    """The threshold over the rows that it decides on, of a step that drops `total` rows."""
    above, edge, whole = threshold["drops"] == "above", threshold["edge"], bool(threshold["whole"])
    assert isinstance(edge, float)
    own = _sum(free, _DROPPED)
    edges = _spread(np.unique(np.append(free["low"].to_numpy(), edge)), edge, axis, positions)
    lows, rows = free["low"].to_numpy(), np.append(0, free["rows"].to_numpy().cumsum())
    below = rows[np.searchsorted(lows, edges, "left")]
    dropped = (rows[-1] - below if above else below) + total - own
    # the rule may drop the threshold itself: then the edge is the number after it
    inclusive = edge != threshold["value"]
    return Cut(
        parameter=str(threshold["parameter"]),
        reason=str(threshold["reason"]),
        drops_above=above,
        alone=own,
        at=int(np.searchsorted(edges, edge)),
        positions=[round(x, 1) for x in _between_bars(axis, free, edges, below).tolist()],
        values=[_value(e, edge, threshold["value"], whole=whole, before=inclusive) for e in edges],
        drops=[int(count) for count in dropped],
    )


def _between_bars(axis: _Axis, free: pl.DataFrame, edges: _Numbers, below: _Numbers) -> _Numbers:
    """Where edges cut the bars: one within a bar at the share of the bar's rows that lie below."""
    counts = axis.counts(free["low"].to_numpy(), free["rows"].to_numpy())
    places = axis.places(edges) * BARS
    bars = np.minimum(places, BARS - 1).astype(int)
    before = np.append(0, counts.cumsum())[bars]
    share = (below - before) / np.maximum(counts[bars], 1)
    within: _Numbers = np.where(counts[bars] > 0, share, places - bars).clip(0.0, 1.0)
    cuts: _Numbers = (bars + within) * (WIDTH / BARS)
    return cuts


def _sum(table: pl.DataFrame, where: pl.Expr | None = None) -> int:
    return int((table if where is None else table.filter(where))["rows"].sum())


def _value(edge: float, own: float, value: object, *, whole: bool, before: bool) -> str:
    """What a parameter says for a cut to be at an edge."""
    if edge == own and isinstance(value, float):
        return number(value)
    if before and whole:
        return number(ceil(edge) - 1)
    return number(edge)


def _spread(edges: _Numbers, own: float, axis: _Axis, positions: int) -> _Numbers:
    """Some of the edges, evenly over the axis, with the one of the recipe."""
    edges = edges[np.isfinite(edges)]
    if len(edges) > positions:
        slots = (axis.places(edges) * (positions - 2)).astype(int)
        first = np.unique(slots, return_index=True)[1]
        edges = np.unique(np.append(edges[first], own))
    return edges


@dataclass(frozen=True)
class _Axis:
    """From values to places between 0 and 1, evenly or by order of magnitude; a value that is
    `alone` is in the middle."""

    low: float
    high: float
    unit: float | None = None
    alone: float | None = None

    @classmethod
    def of(cls, lows: _Numbers, rows: _Numbers) -> _Axis:
        finite = np.isfinite(lows)
        lows, rows = lows[finite], rows[finite]
        if not len(lows):
            return cls(0.0, 1.0)
        share = rows.cumsum() / rows.sum()
        middle, large = (float(lows[np.searchsorted(share, part)]) for part in (0.5, 0.995))
        positive = lows[lows > 0]
        if lows[0] >= 0 and len(positive) and large > _SKEWED * max(middle, float(positive[0])):
            return cls(float(lows[0]), float(lows[-1]), max(float(positive[0]), large / 1e6))
        low, high = float(lows[0]), float(max(large, lows[np.searchsorted(share, 0.999)]))
        return cls(low, high) if high > low else cls(low - 1.0, low + 1.0, alone=low)

    def _scaled(self, values: _Numbers) -> _Numbers:
        return values if self.unit is None else np.arcsinh(values / self.unit)

    @property
    def ends(self) -> list[str]:
        """The least and the greatest value; where there is one alone, it stands in the middle."""
        if self.alone is not None:
            return [number(self.alone)]
        return [number(self._value(0.0)), number(self._value(1.0))]

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = self._scaled(np.array([self.low, self.high]))
        return float(low), float(high)

    def places(self, values: _Numbers) -> _Numbers:
        """Where values are, from 0 to 1; those beyond the axis are at its ends."""
        low, high = self._ends
        if high <= low:
            return np.zeros(len(values))
        return np.clip((self._scaled(values) - low) / (high - low), 0.0, 1.0)

    def _value(self, place: float) -> float:
        low, high = self._ends
        scaled = low + place * (high - low)
        return scaled if self.unit is None else self.unit * sinh(scaled)

    def counts(self, lows: _Numbers, rows: _Numbers) -> _Numbers:
        """The rows in each bar; what lies beyond the axis is in the outermost."""
        bars = np.minimum(self.places(lows) * BARS, BARS - 1).astype(int)
        return np.bincount(bars, weights=rows, minlength=BARS)


def _highest(counts: _Numbers) -> float:
    """The rows of a bar of full height; one that would make all others small is cut off."""
    tallest, second = np.sort(counts)[[-1, -2]]
    return float(max(1.5 * second if tallest > _TOWERING * second > 0 else tallest, 1))


def _bars(counts: _Numbers, beneath: _Numbers, highest: float) -> str:
    """The bars as one path; each that is not empty can be seen."""
    width = WIDTH / BARS
    parts = []
    for index, (count, below) in enumerate(zip(counts, beneath, strict=True)):
        bottom = HEIGHT * (1 - min(below / highest, 1))
        high = min(max(count / highest * HEIGHT, 0.8), bottom)
        if count and high > 0:
            at = f"M{index * width:.1f} {bottom:.1f}"
            parts.append(f"{at}v-{high:.1f}h{width - 0.7:.1f}v{high:.1f}z")
    return "".join(parts)
