"""How a proxy sees its data: features, encoded as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from datachef.core.errors import DatachefError

Floats = NDArray[np.float64]


def _read(value: Any) -> Floats:
    return np.asarray(value, np.float64)


def _write(value: Floats) -> Any:
    return value.tolist()


Vector = Annotated[Floats, BeforeValidator(_read), PlainSerializer(_write)]
Matrix = Annotated[Floats, BeforeValidator(_read), PlainSerializer(_write)]


class FittedState(BaseModel):
    """The base of everything fitted: immutable, and plain JSON when it is saved."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def spread_or_one(values: Floats) -> Floats:
    """The standard deviation of each column, or 1 where a column does not vary."""
    deviation = values.std(axis=0)
    constant = deviation <= 1e-12 * (1 + np.abs(values).max(axis=0, initial=0.0))
    return np.where(constant, 1.0, deviation)


# Names of features that the proxy treats apart from others.
SHARE = "share."
BITS_PER_BYTE = "target.bits_per_byte"
LOG_UNIQUE_TOKENS = "log_unique_tokens"

# Whether more of a feature is better, whatever the task: only its weight is learned. What else was
# tried is in `benchmarks/reward/report.py`, which says what each would change.
SIGNS = {
    BITS_PER_BYTE: -1.0,
    "target.coverage": 1.0,
    "target.cosine": 1.0,
    "target.divergence": -1.0,
    "target.embedding_coverage": 1.0,
    "target.form_match": 1.0,
    "target.language_share": 1.0,
    "target.length_gap": -1.0,
    "target.shape_overlap": 1.0,
    "verifier.value": 1.0,
}

# A model learns from a corpus of this many different tokens about half of what it could from a huge
# one.
HALF_TOKENS = 50_000

# Beyond the training range, a feature counts for one more standard deviation at most.
_MARGIN = 1.0
_SKEWED = 1.5
# A constant column has one deviation of this part of its value.
_CONSTANT_DEVIATION = 1e-3


@dataclass(frozen=True)
class EncodedFeatures:
    """Rows as arrays.

    `shares`: of every known source; `amounts`: the same, each less where the corpus holds few
    different tokens; `measured`: all other features, scaled to deviations from the
    training median, which stands for unknown values; `features`: the same, clipped to a margin
    around the training range; `unknown_source_share`: the share of all unknown sources. `signs` has
    for each other feature whether more of it is better, 1 or -1, and 0 where that is not known.
    """

    shares: Floats
    amounts: Floats
    features: Floats
    measured: Floats
    unknown_source_share: Floats
    signs: Floats

    def __len__(self) -> int:
        return len(self.shares)

    def take(self, rows: Any) -> EncodedFeatures:
        """Some of the rows, by index or mask."""
        return EncodedFeatures(
            self.shares[rows],
            self.amounts[rows],
            self.features[rows],
            self.measured[rows],
            self.unknown_source_share[rows],
            self.signs,
        )


class ColumnScaling(FittedState):
    """How one feature is scaled. `unit` is given where the feature goes through log(1 + x / unit);
    `low` and `high` are the bounds to which it is clipped after scaling."""

    name: str
    unit: float | None
    median: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, values: Floats) -> ColumnScaling:
        """The scaling of a feature, from its training values, some of which may be NaN: unknown."""
        known = values[~np.isnan(values)]
        unit = _log_unit(known)
        if unit is not None:
            known = np.log1p(known / unit)
        median = float(np.median(known))
        deviation = float(known.std())
        if deviation <= 1e-9 * (1 + abs(median)):
            deviation = _CONSTANT_DEVIATION * (1 + abs(median))
            return cls(name=name, unit=unit, median=median, deviation=deviation, low=0, high=0)
        scaled = (known - median) / deviation
        return cls(
            name=name,
            unit=unit,
            median=median,
            deviation=deviation,
            low=float(scaled.min()) - _MARGIN,
            high=float(scaled.max()) + _MARGIN,
        )


class Encoder(FittedState):
    """Encodes the columns that had a value in some training row, and the sources that some row
    used. Other columns are ignored, apart from shares of unknown sources."""

    sources: tuple[str, ...]
    columns: tuple[ColumnScaling, ...]

    @classmethod
    def fit(cls, frame: pl.DataFrame) -> Encoder:
        """Raises `DatachefError` for columns that are no numbers."""
        shares = sorted(name for name in frame.columns if name.startswith(SHARE))
        taken = np.nan_to_num(feature_values(frame, shares)).max(axis=0, initial=0.0) > 0
        sources = tuple(name for name, known in zip(shares, taken, strict=True) if known)
        others = sorted(set(frame.columns) - set(shares))
        values = feature_values(frame, others)
        known = [not np.isnan(column).all() for column in values.T]
        columns = [
            ColumnScaling.of(name, values[:, i]) for i, name in enumerate(others) if known[i]
        ]
        return cls(sources=sources, columns=tuple(columns))

    def encode(self, frame: pl.DataFrame) -> EncodedFeatures:
        """Raises `DatachefError` for columns that are no numbers and for negative shares."""
        shares, unknown_source_share = self._shares(frame)
        raw = feature_values(frame, [column.name for column in self.columns])
        units, medians, deviations, low, high = self._scales
        amounts = ~np.isnan(units)
        raw[:, amounts] = np.log1p(np.maximum(raw[:, amounts], 0.0) / units[amounts])
        measured = np.nan_to_num((raw - medians) / deviations, nan=0.0)
        return EncodedFeatures(
            shares,
            shares * _enough(frame)[:, None],
            np.clip(measured, low, high),
            measured,
            unknown_source_share,
            np.array([SIGNS.get(column.name, 0.0) for column in self.columns]),
        )

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
        shares = np.nan_to_num(feature_values(frame, [*self.sources, *others]), nan=0.0)
        if (shares < 0).any():
            raise DatachefError(
                "a share of a source is negative", hint=f"columns {SHARE}* are shares of the corpus"
            )
        total = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(total > 0, total, 1.0)
        return shares[:, : len(self.sources)], shares[:, len(self.sources) :].sum(axis=1)


def feature_values(frame: pl.DataFrame, names: list[str]) -> Floats:
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


def _enough(frame: pl.DataFrame) -> Floats:
    """How much of what a huge corpus teaches one of this size can; 1 where the size is unknown."""
    tokens = np.expm1(feature_values(frame, [LOG_UNIQUE_TOKENS])[:, 0])
    enough: Floats = np.nan_to_num(tokens / (tokens + HALF_TOKENS), nan=1.0)
    return enough


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
