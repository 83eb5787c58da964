"""The proxy: from the features of a recipe to the score it would measure, with honest doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from datachef.core.errors import DatachefError
from datachef.reward.proxy.arrays import Floats, State
from datachef.reward.proxy.blend import Blend
from datachef.reward.proxy.fitting import cross_fit, predictions
from datachef.reward.proxy.folds import group_numbers, split
from datachef.reward.proxy.intervals import Calibration
from datachef.reward.proxy.linear import Linear
from datachef.reward.proxy.mixing_law import MixingLaw
from datachef.reward.proxy.ranked import RankRidge
from datachef.reward.proxy.saturating import SaturatingRidge
from datachef.reward.proxy.scale import Scale
from datachef.reward.proxy.smooth import Tuned
from datachef.reward.proxy.support import Support
from datachef.reward.proxy.table import Encoder, Table
from datachef.reward.proxy.trees import ResidualTrees

FEWEST_MEASUREMENTS = 6
FEWEST_RECIPES = 4

_FORMAT = "datachef proxy 1"
_FOLDS = 10
_LAW_FOLDS = 5
_LAW_NEEDS = 10
_BAGS = 3

AnySmooth = Annotated[Linear | SaturatingRidge | MixingLaw | RankRidge, Field(discriminator="name")]


@dataclass(frozen=True)
class Prediction:
    """What a recipe is expected to measure, in the units of the scores that were learned.

    `uncertainty` is like a standard error and grows outside of the support; `low` and `high` hold
    the measurement with the probability that the proxy was asked for, for recipes like those it
    has seen: not where `off_support` is set. `parts` are the predictions of each model.
    """

    value: float
    uncertainty: float
    low: float
    high: float
    off_support: bool
    parts: Mapping[str, float]


class Proxy(State):
    """A blend of smooth models, corrected by trees where there are measurements.

    Features are columns of Float64, null where unknown; `share.<source>` columns are shares of the
    corpus. With few measurements there are fewer models: no mixing law below 10, no trees below 20.
    """

    encoder: Encoder
    support: Support
    models: tuple[AnySmooth, ...]
    blend: Blend
    trees: tuple[ResidualTrees, ...]
    calibration: Calibration
    measurements: int
    coverage: float

    @model_validator(mode="after")
    def _complete(self) -> Proxy:
        if not len(self.models) == len(self.blend.weights) == len(self.blend.heard_outside) > 0:
            raise ValueError("every model needs a weight")
        return self

    @classmethod
    def fit(
        cls,
        features: pl.DataFrame,
        scores: NDArray[np.float64],
        *,
        groups: Sequence[str] | None = None,
        seed: int = 0,
        coverage: float = 0.9,
    ) -> Proxy:
        """Learns from one row of features and one score per measurement.

        `groups` names the recipe of each measurement, so that repeated ones are never told apart;
        without, every row is a recipe. `coverage` is the probability that intervals promise. The
        same data and seed give the same predictions, bit for bit. Raises `DatachefError` for fewer
        than 6 measurements of 4 recipes, or where scores or features are not numbers.
        """
        scores = np.asarray(scores, np.float64)
        numbers = _checked(features, scores, groups, coverage)
        encoder = Encoder.fit(features)
        table = encoder.encode(features)
        tuned = _tuned(table, scores, numbers, seed)
        crossed = cross_fit(table, scores, numbers, tuned, seed)
        support, outside = Support.fit(table, numbers)
        models = [one.model for one in tuned]
        blend = Blend(
            weights=crossed.weights,
            heard_outside=tuple(model.extrapolates for model in models),
            scale=Scale.of(scores),
        )
        opinions = blend.combine(crossed.smooth, crossed.correction, outside, crossed.row_weights)
        trees = []
        if crossed.rounds:
            pooled = blend.scale.pool(predictions(models, table), crossed.weights)
            left = blend.scale.place(scores) - pooled
            bags = range(seed, seed + _BAGS)
            trees = [ResidualTrees.fit(table, left, crossed.rounds, bag) for bag in bags]
        return cls(
            encoder=encoder,
            support=support,
            models=tuple(models),
            blend=blend,
            trees=tuple(trees),
            calibration=Calibration.fit(opinions.value - scores, opinions, outside, coverage),
            measurements=len(scores),
            coverage=coverage,
        )

    def predict(self, features: pl.DataFrame) -> list[Prediction]:
        """One prediction per row. Columns that the proxy does not know are ignored, but a share of
        a source that it does not know is off its support; a missing column counts as unknown."""
        table = self.encoder.encode(features)
        if not len(table):
            return []
        smooth = predictions(self.models, table)
        outside = self.support.outside(table)
        opinions = self.blend.combine(smooth, self._correction(table), outside)
        uncertainty = self.calibration.uncertainty(opinions, outside)
        reach = self.calibration.half_width * uncertainty
        names = [model.name for model in self.models] + (["residual_trees"] if self.trees else [])
        return [
            Prediction(
                value=float(opinions.value[row]),
                uncertainty=float(uncertainty[row]),
                low=float(opinions.value[row] - reach[row]),
                high=float(opinions.value[row] + reach[row]),
                off_support=bool(outside[row] > 0),
                parts=dict(zip(names, map(float, opinions.parts[row]), strict=False)),
            )
            for row in range(len(table))
        ]

    @staticmethod
    def pessimistic(prediction: Prediction, multiple: float = 1.0) -> float:
        """The value less so many uncertainties: what an optimiser may climb without going where
        nothing was measured."""
        return prediction.value - multiple * prediction.uncertainty

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"format": _FORMAT, **self.model_dump(mode="json")}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Proxy:
        """What `to_data` gave. Raises `DatachefError` for anything else."""
        if data.get("format") != _FORMAT:
            raise DatachefError(
                "this is not a proxy, or one of another version", hint="fit it again: chef fit"
            )
        try:
            return cls.model_validate({k: v for k, v in data.items() if k != "format"})
        except ValidationError as error:
            raise DatachefError(
                f"the proxy is damaged: {error.error_count()} fields are wrong",
                hint="fit it again: chef fit",
            ) from error

    def _correction(self, table: Table) -> Floats:
        if not self.trees:
            return np.zeros(len(table))
        bags = np.stack([trees.predict(table) for trees in self.trees])
        correction: Floats = bags.mean(axis=0)
        return correction


def _tuned(table: Table, scores: Floats, groups: NDArray[np.int64], seed: int) -> list[Tuned]:
    """The smooth models that this many measurements can carry."""
    masks = split(groups, _FOLDS, seed)
    tuned = [Linear.tune(table, scores, masks)]
    if table.shares.shape[1] > 1:
        tuned.append(SaturatingRidge.tune(table, scores, masks))
        if len(scores) >= _LAW_NEEDS:
            tuned.append(MixingLaw.tune(table, scores, split(groups, _LAW_FOLDS, seed)))
    if table.features.any():  # something was measured, and it varies
        tuned.append(RankRidge.tune(table, scores, masks))
    return tuned


def _checked(
    features: pl.DataFrame, scores: Floats, groups: Sequence[str] | None, coverage: float
) -> NDArray[np.int64]:
    """The number of each row's recipe."""
    if not features.width:
        raise DatachefError("there are no features to learn from")
    names = [str(row) for row in range(len(scores))] if groups is None else groups
    if not features.height == len(scores) == len(names):
        raise DatachefError(
            f"{features.height} rows of features, {len(scores)} scores and {len(names)} recipes "
            "do not belong together"
        )
    if not np.isfinite(scores).all():
        raise DatachefError("a score is not a finite number", hint="leave failed measurements out")
    if not 0.5 <= coverage < 1:
        raise DatachefError(f"coverage must be at least 0.5 and below 1, not {coverage}")
    recipes = len(set(names))
    if len(scores) < FEWEST_MEASUREMENTS or recipes < FEWEST_RECIPES:
        raise DatachefError(
            f"{len(scores)} measurements of {recipes} recipes are too few to learn from",
            hint=f"measure at least {FEWEST_MEASUREMENTS}, of {FEWEST_RECIPES} recipes or more: "
            "chef evaluate",
        )
    return group_numbers(names)
