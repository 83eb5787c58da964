"""How a proxy sees its data: encoded features, folds, ranks of scores, and the support."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


Mask = NDArray[np.bool_]


def group_numbers(groups: Sequence[str]) -> NDArray[np.int64]:
    """The index of each row's group among the sorted groups."""
    return np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def split(groups: NDArray[np.int64], folds: int, seed: int) -> list[Mask]:
    """Which rows are held out, fold by fold; every row is held out once.

    `groups` numbers the group of each row from 0; there are at most as many folds as groups.
    """
    count = int(groups.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    fold_of_group = np.empty(count, np.int64)
    fold_of_group[order] = np.arange(count) % min(folds, count)
    return [fold_of_group[groups] == fold for fold in range(min(folds, count))]


def train_test_masks(masks: Sequence[Mask]) -> Iterator[tuple[Mask, Mask]]:
    """(rows to learn from, rows held out) of each fold."""
    for mask in masks:
        yield ~mask, mask


def first_unless_better(missed: Floats) -> int:
    """The column of least error, of squared errors with a row per held-out measurement and a column
    per candidate: the first, unless the gain exceeds its standard error."""
    best = int(missed.mean(axis=0).argmin())
    gain = missed[:, 0] - missed[:, best]
    doubt = float(gain.std()) / len(gain) ** 0.5
    return best if float(gain.mean()) > doubt else 0


class RankTransform(FittedState):
    """Maps scores to their ranks among the measured ones, in [0, 1], and back: on ranks, no model
    outweighs the others by misjudging the size of a gap between good and bad recipes.

    Linear between measured scores; beyond them, with the slope between the first and the last.
    `unit` is the standard deviation of the scores.
    """

    scores: Vector
    ranks: Vector
    unit: float

    @classmethod
    def of(cls, scores: Floats) -> RankTransform:
        """The transform of these measured scores."""
        known, counts = np.unique(scores, return_counts=True)
        below = np.cumsum(counts) - counts / 2
        unit = float(scores.std()) or 1.0
        return cls(scores=known, ranks=below / len(scores), unit=unit)

    def to_ranks(self, scores: Floats) -> Floats:
        """The ranks of scores."""
        inside = np.interp(scores, self.scores, self.ranks)
        beyond = scores - np.clip(scores, self.scores[0], self.scores[-1])
        ranks: Floats = inside + beyond * self._slope
        return ranks

    def to_scores(self, ranks: Floats) -> Floats:
        """The scores at ranks."""
        inside = np.interp(ranks, self.ranks, self.scores)
        beyond = ranks - np.clip(ranks, self.ranks[0], self.ranks[-1])
        scores: Floats = inside + beyond / self._slope
        return scores

    @property
    def _slope(self) -> float:
        spread = float(self.scores[-1] - self.scores[0])
        return float(self.ranks[-1] - self.ranks[0]) / spread if spread else 1.0 / self.unit

    def soft_clip(self, scores: Floats) -> Floats:
        """The scores in the same order, but beyond the measured ones they grow only as a logarithm
        does."""
        low, high = self.scores[0], self.scores[-1]
        above = self.unit * np.log1p(np.maximum(scores - high, 0.0) / self.unit)
        below = self.unit * np.log1p(np.maximum(low - scores, 0.0) / self.unit)
        clipped: Floats = np.clip(scores, low, high) + above - below
        return clipped

    def pooled_ranks(self, predictions: Floats, weights: Floats) -> Floats:
        """The weighted mean rank of predicted scores, rows by models."""
        pooled: Floats = (self.to_ranks(predictions) * weights).sum(axis=1)
        return pooled


# Names of features that the proxy treats apart from others.
SHARE = "share."
BITS_PER_BYTE = "target.bits_per_byte"
LOG_UNIQUE_TOKENS = "log_unique_tokens"

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
    around the training range; `unknown_source_share`: the share of all unknown sources.
    """

    shares: Floats
    amounts: Floats
    features: Floats
    measured: Floats
    unknown_source_share: Floats

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


# This share of rows like the measured ones lies beyond each of the two borders.
_BEYOND = 0.04
# Measured rows lie closer together than others, in units that were derived from them.
_SHRUNK = 2.0
# Beyond a range by less than this part of it is rounding.
_ROUNDING = 1e-3
# Entirely outside: beyond the range of a column by this many ranges ...
_FAR_BEYOND_RANGE = 1.0
# ... or this many times further from all measurements than the border is.
_FAR_FROM_ALL = 2.0


class Support(FittedState):
    """Two borders, both drawn so that few of the measured rows lie outside when they are left out:
    the range of each column, and the distance to the nearest measurement."""

    points: Matrix
    scale: Vector
    low: Vector
    high: Vector
    range_border: float
    distance_border: float

    @classmethod
    def fit(cls, table: EncodedFeatures, groups: NDArray[np.int64]) -> tuple[Support, Floats]:
        """The support, and how far outside each training row would be without its own group."""
        columns = _coordinates(table)
        scale = _units(table)
        points = columns / scale
        distances = _distances(points, points)
        distances[groups[:, None] == groups[None, :]] = np.inf
        nearest = distances.min(axis=1)
        beyond = _left_out_excess(columns, groups)
        support = cls(
            points=points,
            scale=scale,
            low=columns.min(axis=0),
            high=columns.max(axis=0),
            range_border=_border(beyond),
            distance_border=_border(nearest) * (1 + _SHRUNK / len(nearest)),
        )
        return support, support._outside(beyond, nearest)

    def outside(self, table: EncodedFeatures) -> Floats:
        """0 inside of both borders, 1 entirely outside, and between them above 0."""
        columns = _coordinates(table)
        nearest = _distances(columns / self.scale, self.points).min(axis=1)
        beyond = _excess(columns, self.low, self.high)
        beyond = np.maximum(
            beyond, np.where(table.unknown_source_share > 1e-6, self.range_border + 1, 0.0)
        )
        return self._outside(beyond, nearest)

    def _outside(self, beyond: Floats, nearest: Floats) -> Floats:
        of_range = (beyond - self.range_border) / _FAR_BEYOND_RANGE
        border = self.distance_border
        of_distance = (nearest - border) / ((_FAR_FROM_ALL - 1) * border + 1e-9)
        return np.clip(np.maximum(of_range, of_distance), 0.0, 1.0)


def _coordinates(table: EncodedFeatures) -> Floats:
    return np.hstack([np.sqrt(table.shares), table.measured])


def _units(table: EncodedFeatures) -> Floats:
    """Distances of shares are those of Hellinger. All shares together weigh as much as all other
    features together."""
    shares, features = table.shares.shape[1], table.measured.shape[1]
    hellinger = float(np.sqrt(np.sqrt(table.shares).var(axis=0).sum())) or 1.0
    return np.concatenate(
        [
            np.full(shares, hellinger),
            np.sqrt(features) * spread_or_one(table.measured),
        ]
    )


def _distances(left: Floats, right: Floats) -> Floats:
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    distances: Floats = np.sqrt(np.maximum(squared, 0.0))
    return distances


def _excess(columns: Floats, low: Floats, high: Floats) -> Floats:
    """The furthest that any column is beyond its range, in ranges."""
    width = np.where(high > low, high - low, 1.0)
    beyond = np.maximum(columns - high, low - columns) / width - _ROUNDING
    excess: Floats = beyond.max(axis=1, initial=0.0)
    return excess


def _left_out_excess(columns: Floats, groups: NDArray[np.int64]) -> Floats:
    excess = np.empty(len(columns))
    for group in range(int(groups.max()) + 1):
        own = groups == group
        rest = columns[~own]
        excess[own] = _excess(columns[own], rest.min(axis=0), rest.max(axis=0))
    return excess


def _border(scores: Floats) -> float:
    return float(np.quantile(scores, 1 - _BEYOND, method="higher"))
