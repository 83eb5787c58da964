"""Turns a frame of features into arrays that every model of the proxy understands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from datachef.core.errors import DatachefError
from datachef.reward.proxy.arrays import Floats, State

SHARE = "share."

# Beyond what was seen, a feature is believed for one more standard deviation.
_BELIEVED = 1.0
_SKEWED = 1.5
# What never varied has moved notably when it moves by this part of itself.
_MOVED = 1e-3


@dataclass(frozen=True)
class Table:
    """Rows as arrays.

    `shares`: of every known source; `measured`: all other features, scaled to deviations from the
    training median, which stands for what is unknown; `features`: the same, no further from what
    was seen than is believed; `stranger`: the share of unknown sources.
    """

    shares: Floats
    features: Floats
    measured: Floats
    stranger: Floats

    def __len__(self) -> int:
        return len(self.shares)

    def take(self, rows: Any) -> Table:
        """Some of the rows, by index or mask."""
        return Table(
            self.shares[rows], self.features[rows], self.measured[rows], self.stranger[rows]
        )


class Column(State):
    """How one feature is scaled. `unit` is given where the feature goes through log(1 + x / unit);
    `low` and `high` are the bounds of what is believed, after scaling."""

    name: str
    unit: float | None
    median: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, values: Floats) -> Column:
        """The scale of a feature, from its training values, some of which may be NaN: unknown."""
        known = values[~np.isnan(values)]
        unit = _log_unit(known)
        if unit is not None:
            known = np.log1p(known / unit)
        median = float(np.median(known))
        deviation = float(known.std())
        if deviation <= 1e-9 * (1 + abs(median)):
            deviation = _MOVED * (1 + abs(median))
            return cls(name=name, unit=unit, median=median, deviation=deviation, low=0, high=0)
        scaled = (known - median) / deviation
        return cls(
            name=name,
            unit=unit,
            median=median,
            deviation=deviation,
            low=float(scaled.min()) - _BELIEVED,
            high=float(scaled.max()) + _BELIEVED,
        )


class Encoder(State):
    """Knows the columns that were known of some row, and the sources that some row took from.
    Columns that it has not seen are ignored, apart from shares of sources it has not seen."""

    sources: tuple[str, ...]
    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, frame: pl.DataFrame) -> Encoder:
        """Raises `DatachefError` for columns that are no numbers."""
        shares = sorted(name for name in frame.columns if name.startswith(SHARE))
        taken = np.nan_to_num(_numbers(frame, shares)).max(axis=0, initial=0.0) > 0
        sources = tuple(name for name, known in zip(shares, taken, strict=True) if known)
        others = sorted(set(frame.columns) - set(shares))
        values = _numbers(frame, others)
        known = [not np.isnan(column).all() for column in values.T]
        columns = [Column.of(name, values[:, i]) for i, name in enumerate(others) if known[i]]
        return cls(sources=sources, columns=tuple(columns))

    def encode(self, frame: pl.DataFrame) -> Table:
        """Raises `DatachefError` for columns that are no numbers and for negative shares."""
        shares, stranger = self._shares(frame)
        raw = _numbers(frame, [column.name for column in self.columns])
        units, medians, deviations, low, high = self._scales
        amounts = ~np.isnan(units)
        raw[:, amounts] = np.log1p(np.maximum(raw[:, amounts], 0.0) / units[amounts])
        measured = np.nan_to_num((raw - medians) / deviations, nan=0.0)
        return Table(shares, np.clip(measured, low, high), measured, stranger)

    @cached_property
    def _scales(self) -> Floats:
        """Units (NaN for none), medians, deviations, lower and upper bounds of the columns."""
        rows = [
            (np.nan if c.unit is None else c.unit, c.median, c.deviation, c.low, c.high)
            for c in self.columns
        ]
        return np.array(rows, np.float64).reshape(len(rows), 5).T

    def _shares(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """Shares of the known sources and of all others together; they sum to 1."""
        if not self.sources:
            return np.zeros((frame.height, 0)), np.zeros(frame.height)
        known = set(self.sources)
        others = sorted(n for n in frame.columns if n.startswith(SHARE) and n not in known)
        shares = np.nan_to_num(_numbers(frame, [*self.sources, *others]), nan=0.0)
        if (shares < 0).any():
            raise DatachefError(
                "a share of a source is negative", hint=f"columns {SHARE}* are shares of the corpus"
            )
        total = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(total > 0, total, 1.0)
        return shares[:, : len(self.sources)], shares[:, len(self.sources) :].sum(axis=1)


def _numbers(frame: pl.DataFrame, names: list[str]) -> Floats:
    """Columns as numbers; NaN where a value is unknown, infinite, or its column is missing."""
    values = np.full((frame.height, len(names)), np.nan)
    there = [i for i, name in enumerate(names) if name in frame.columns]
    if not there:
        return values
    known = frame.select(names[i] for i in there)
    for name, kind in known.schema.items():
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            raise DatachefError(
                f"the feature {name!r} holds {kind}, not numbers",
                hint="features are columns of Float64; null stands for unknown",
            )
    values[:, there] = known.cast(pl.Float64).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _log_unit(known: Floats) -> float | None:
    """The unit of a logarithmic scale, for amounts with a long upper tail."""
    positive = known[known > 0]
    if known.min() < 0 or not len(positive):
        return None
    unit = float(np.median(positive))
    raw, logarithmic = _skewness(known), _skewness(np.log1p(known / unit))
    return unit if raw > _SKEWED and abs(logarithmic) < raw else None


def _skewness(values: Floats) -> float:
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return float((centred**3).mean()) / variance**1.5 if variance > 0 else 0.0
