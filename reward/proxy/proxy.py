"""The proxy: predicts from the features of a recipe the score that it would measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from datachef.core.errors import DatachefError
from datachef.reward.config import reward_package
from datachef.reward.proxy.encoding import (
    BITS_PER_BYTE,
    HALF_TOKENS,
    LOG_UNIQUE_TOKENS,
    EncodedFeatures,
    Encoder,
    FittedState,
    Floats,
)
from datachef.reward.proxy.ensemble import (
    Calibration,
    ResidualTrees,
    StackedEnsemble,
    cross_fit,
    predictions,
)
from datachef.reward.proxy.folds import group_numbers, split
from datachef.reward.proxy.laws import SaturatingLaw
from datachef.reward.proxy.models import LinearRidge, RankRidge, SaturatingRidge, TunedModel
from datachef.reward.proxy.ranks import RankTransform
from datachef.reward.proxy.signed import SignedModel
from datachef.reward.proxy.support import Support

FEWEST_MEASUREMENTS = 6
FEWEST_RECIPES = 4

_FORMAT = "datachef proxy 4"
_FOLDS = 10
_LAW_FOLDS = 5
_BAGS = 3

AnySmoothModel = Annotated[
    LinearRidge | SaturatingRidge | SaturatingLaw | RankRidge | SignedModel,
    Field(discriminator="name"),
]


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


class RefitComparison(FittedState):
    """How a proxy and its refit to more measurements predict recipes that neither had seen.

    `rank_correlations` (Spearman's) and `errors` (mean absolute ones) are those of the proxy before
    and of the refit; `rank_change` and `error_change` are 95% bootstrap intervals of the second
    less the first. `worse` says that the refit ranks or errs worse by more than chance explains.
    """

    recipes: int
    new_measurements: int
    rank_correlations: tuple[float, float]
    rank_change: tuple[float, float]
    errors: tuple[float, float]
    error_change: tuple[float, float]
    worse: bool

    @property
    def verdict(self) -> str:
        """The outcome and its figures in words."""
        kept = "the proxy before is kept: its refit is worse" if self.worse else "refitted"
        (rank, new_rank), (error, new_error) = self.rank_correlations, self.errors
        return (
            f"{kept}; on {self.recipes} recipes left out, with {self.new_measurements} new "
            f"measurements, rank correlation {rank:.3f} -> {new_rank:.3f}, "
            f"mean error {error:.4f} -> {new_error:.4f}"
        )


class Proxy(FittedState):
    """An ensemble of smooth models, corrected by trees where there are enough measurements.

    Features are columns of Float64, null where unknown; `share.<source>` columns are shares of the
    corpus. There are no trees below 20 measurements. `learned_from` has the keys of the
    measurements of a history that it learned from, `comparison` how it was last compared with its
    refit or, if it is the refit, with the proxy before.
    """

    encoder: Encoder
    support: Support
    models: tuple[AnySmoothModel, ...]
    ensemble: StackedEnsemble
    trees: tuple[ResidualTrees, ...]
    calibration: Calibration
    measurements: int
    coverage: float
    learned_from: tuple[str, ...] = ()
    comparison: RefitComparison | None = None

    @model_validator(mode="after")
    def _complete(self) -> Proxy:
        if (
            not len(self.models)
            == len(self.ensemble.weights)
            == len(self.ensemble.extrapolating)
            > 0
        ):
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

        `groups` names the recipe of each measurement, so that repeated ones stay in one fold;
        without, every row is a recipe. `coverage` is the probability that intervals promise. The
        same data and seed give the same predictions, bit for bit. Raises `DatachefError` for fewer
        than 6 measurements of 4 recipes, or where scores or features are not numbers.
        """
        scores = np.asarray(scores, np.float64)
        numbers = _checked(features, scores, groups, coverage)
        # The matrices are small: more threads are slower, and add up in another order. The limit
        # holds for libraries that are loaded, and SciPy brings one of its own.
        reward_package("scipy.optimize")
        with reward_package("threadpoolctl").threadpool_limits(1, "blas"):
            return cls._fit(features, scores, numbers, seed, coverage)

    @classmethod
    def _fit(
        cls,
        features: pl.DataFrame,
        scores: Floats,
        numbers: NDArray[np.int64],
        seed: int,
        coverage: float,
    ) -> Proxy:
        encoder = Encoder.fit(features)
        table = encoder.encode(features)
        tuned = _tuned(table, scores, numbers, seed)
        crossed = cross_fit(table, scores, numbers, tuned, seed)
        support, outside = Support.fit(table, numbers)
        models = [one.model for one in tuned]
        ensemble = StackedEnsemble(
            weights=crossed.weights,
            extrapolating=tuple(model.extrapolates for model in models),
            transform=RankTransform.of(scores),
        )
        combined = ensemble.combine(
            crossed.smooth, crossed.correction, outside, crossed.row_weights
        )
        trees = []
        if crossed.rounds:
            pooled = ensemble.transform.pooled_ranks(predictions(models, table), crossed.weights)
            left = ensemble.transform.to_ranks(scores) - pooled
            bags = range(seed, seed + _BAGS)
            trees = [ResidualTrees.fit(table, left, crossed.rounds, bag) for bag in bags]
        return cls(
            encoder=encoder,
            support=support,
            models=tuple(models),
            ensemble=ensemble,
            trees=tuple(trees),
            calibration=Calibration.fit(combined.value - scores, combined, outside, coverage),
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
        combined = self.ensemble.combine(smooth, self._correction(table), outside)
        uncertainty = self.calibration.uncertainty(combined, outside)
        reach = self.calibration.half_width * uncertainty
        names = [model.name for model in self.models] + (["residual_trees"] if self.trees else [])
        return [
            Prediction(
                value=float(combined.value[row]),
                uncertainty=float(uncertainty[row]),
                low=float(combined.value[row] - reach[row]),
                high=float(combined.value[row] + reach[row]),
                off_support=bool(outside[row] > 0),
                parts=dict(zip(names, map(float, combined.parts[row]), strict=False)),
            )
            for row in range(len(table))
        ]

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"format": _FORMAT, **self.model_dump(mode="json")}

    @classmethod
    def load(cls, path: Path) -> Proxy:
        """The proxy that was saved in a file. Raises `DatachefError`."""
        try:
            return cls.from_data(orjson.loads(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise DatachefError(f"{path} is no proxy: {error}", "chef fit makes one") from error

    @classmethod
    def from_data(cls, data: Any) -> Proxy:
        """What `to_data` gave. Raises `DatachefError` for anything else."""
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise DatachefError(
                "this is not a proxy, or one of another version", hint="fit it again: chef fit"
            )
        try:
            return cls.model_validate({k: v for k, v in data.items() if k != "format"})
        except (ValidationError, TypeError) as error:
            raise DatachefError("the proxy is damaged", hint="fit it again: chef fit") from error

    def _correction(self, table: EncodedFeatures) -> Floats:
        if not self.trees:
            return np.zeros(len(table))
        bags = np.stack([trees.predict(table) for trees in self.trees])
        correction: Floats = bags.mean(axis=0)
        return correction


def _tuned(
    table: EncodedFeatures, scores: Floats, groups: NDArray[np.int64], seed: int
) -> list[TunedModel]:
    """The smooth models for what varies: shares of sources, other features, or both."""
    masks = split(groups, _FOLDS, seed)
    mixed, described = table.shares.shape[1] > 1, bool(table.features.any())
    tuned = []
    if mixed:
        tuned.append(SaturatingRidge.tune(table, scores, masks))
        tuned.append(SaturatingLaw.tune(table, scores, split(groups, _LAW_FOLDS, seed)))
    if described:
        tuned.append(RankRidge.tune(table, scores, masks))
    if (table.features * table.signs).any():
        tuned.append(SignedModel.tune(table, scores, masks))
    # Shares alone have a law of diminishing returns, which a linear model is only a check on.
    linear = LinearRidge.tune(table, scores, masks)
    tuned.append(replace(linear, inside=described or not mixed))
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


# Nothing calibrates a prior: it says where in [0, 1] a recipe stands, and that it is not sure.
UNCERTAINTY = 0.25


def prior_prediction(features: Mapping[str, float]) -> Prediction:
    """The probability per byte that the corpus's own n-grams give to the gold answers of the task's
    examples; always marked as off the support.

    Without examples to resemble, the amount of different data is all there is to go by.
    """
    bits = features.get(BITS_PER_BYTE, math.nan)
    if math.isnan(bits):
        tokens = math.expm1(features.get(LOG_UNIQUE_TOKENS, 0.0))
        name, value = "enough_data", tokens / (tokens + HALF_TOKENS)
    else:
        name, value = "likeness", 2.0**-bits
    return Prediction(
        value=value,
        uncertainty=UNCERTAINTY,
        low=max(0.0, value - 2 * UNCERTAINTY),
        high=min(1.0, value + 2 * UNCERTAINTY),
        off_support=True,
        parts={name: value},
    )
