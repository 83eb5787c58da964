"""The support: how far a recipe lies outside of what was measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datachef.reward.proxy.encoding import (
    EncodedFeatures,
    FittedState,
    Floats,
    Matrix,
    Vector,
    spread_or_one,
)

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
