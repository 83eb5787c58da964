"""The ensemble: residual trees, stacking weights, cross-fitting and conformal intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datachef.reward.config import reward_package
from datachef.reward.proxy.encoding import EncodedFeatures, FittedState, Floats, Vector
from datachef.reward.proxy.folds import first_unless_better, split, train_test_masks
from datachef.reward.proxy.models import SmoothModel, TunedModel
from datachef.reward.proxy.ranks import RankTransform

_ROUNDS = (0, 10, 25, 50, 100, 200, 400, 800)
_ROUNDS_PER_ROW = 4


class ResidualTrees(FittedState):
    """A LightGBM model (Ke et al. 2017), as the text that LightGBM itself writes."""

    text: str

    @classmethod
    def fit(
        cls, table: EncodedFeatures, residuals: Floats, rounds: int, seed: int
    ) -> ResidualTrees:
        """Learns what is to be added to the smooth prediction.

        Raises `MissingPackageError` without the package lightgbm.
        """
        return cls(text=_boosted(table, residuals, rounds, seed).model_to_string())

    def predict(self, table: EncodedFeatures) -> Floats:
        """What to add to the smooth prediction of each row."""
        return _correction(self._booster, table)

    @cached_property
    def _booster(self) -> Any:
        return reward_package("lightgbm").Booster(model_str=self.text)


def _boosted(table: EncodedFeatures, residuals: Floats, rounds: int, seed: int) -> Any:
    lightgbm = reward_package("lightgbm")
    options = {
        "objective": "l2",
        "num_leaves": 16,
        # With LightGBM's own 20 rows a leaf, fewer than 40 rows give a constant.
        "min_data_in_leaf": 5 if len(residuals) >= 100 else 3,
        "min_data_in_bin": 1,
        "learning_rate": 0.02,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.7,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(_columns(table), label=residuals)
    return lightgbm.train(options, data, num_boost_round=rounds)


def _correction(booster: Any, table: EncodedFeatures, rounds: int = -1) -> Floats:
    """What the first `rounds` trees add, or all."""
    if rounds == 0:
        return np.zeros(len(table))
    predicted = booster.predict(_columns(table), num_iteration=rounds, num_threads=1)
    return np.asarray(predicted, np.float64)


def rounds_to_try(rows: int) -> list[int]:
    """Numbers of trees worth trying, from none upwards: the fewer rows, the fewer trees."""
    return [rounds for rounds in _ROUNDS if rounds <= _ROUNDS_PER_ROW * rows]


def _columns(table: EncodedFeatures) -> Floats:
    return np.hstack([table.shares, table.features])


# Stacking weights are shrunk toward uniform as if by this many rows.
_PRIOR_ROWS = 100.0


@dataclass(frozen=True)
class EnsemblePrediction:
    """The predictions of the models for some rows, and their combination.

    `parts`: the clipped prediction of each smooth model and the corrected one, rows by models;
    `value`: the combination. `inner_variance` is that between the models that count inside the
    support, `outer_variance` that between the models that count outside.
    """

    parts: Floats
    value: Floats
    inner_variance: Floats
    outer_variance: Floats


def stacked_weights(held_out: Floats, scores: Floats) -> Floats:
    """Weights that are at least 0 and sum to 1, by least squares on held-out predictions.

    `held_out` has a row per measurement and a column per model. Breiman 1996, "Stacked
    regressions".
    """
    models = held_out.shape[1]
    # As the weights sum to 1, the error of the combination is the combination of the errors; the
    # unit is the error of the best model, so that the pull to uniform is that of a few rows.
    missed = held_out - scores[:, None]
    missed /= float(np.sqrt((missed**2).mean(axis=0)).min()) or 1.0
    pull = np.sqrt(_PRIOR_ROWS) * np.eye(models)
    sum_to_one = np.full((1, models), 1e4)
    columns = np.vstack([missed, pull, sum_to_one])
    target = np.concatenate([np.zeros(len(scores)), pull.sum(axis=1) / models, sum_to_one[0, :1]])
    weights, _ = reward_package("scipy.optimize").nnls(columns, target)
    normalised: Floats = weights / weights.sum()
    return normalised


class StackedEnsemble(FittedState):
    """Combines the predictions of smooth models and the trees' correction.

    Inside the support, the weighted models and the correction decide. Entirely outside, the
    corrected prediction and every extrapolating model have equal weights: the weights that were
    learned inside do not hold there.
    """

    weights: Vector
    extrapolating: tuple[bool, ...]
    transform: RankTransform

    def combine(
        self, smooth: Floats, correction: Floats, outside: Floats, weights: Floats | None = None
    ) -> EnsemblePrediction:
        """`smooth` has rows by models; `outside` is 0 inside of the support, 1 entirely outside;
        `weights`, in place of the ensemble's own, may differ from row to row."""
        weights = self.weights if weights is None else weights
        smooth = self.transform.soft_clip(smooth)
        pooled = self.transform.pooled_ranks(smooth, weights)
        weighted = self.transform.to_scores(pooled)
        corrected = self.transform.soft_clip(self.transform.to_scores(pooled + correction))
        parts = np.hstack([smooth, corrected[:, None]])
        heard = parts[:, [*self.extrapolating, True]]
        value = (1 - outside) * corrected + outside * heard.mean(axis=1)
        inner = (((smooth - weighted[:, None]) ** 2) * weights).sum(axis=1)
        return EnsemblePrediction(parts, value, np.maximum(inner, 0.0), outside * heard.var(axis=1))


_FOLDS = 10
_INNER_FOLDS = 5
_TREES_NEED = 60


@dataclass(frozen=True)
class CrossFit:
    """What is learned from held-out rows about the models.

    `weights` of the smooth models and the number of trees (`rounds`) are best for all rows. For
    honest errors, `smooth` (rows by models), `row_weights` (likewise) and `correction` are held-out
    predictions, and the weights and number of trees chosen without each row's own fold.
    """

    weights: Floats
    rounds: int
    smooth: Floats
    row_weights: Floats
    correction: Floats


def cross_fit(
    table: EncodedFeatures,
    scores: Floats,
    groups: NDArray[np.int64],
    tuned: Sequence[TunedModel],
    seed: int,
) -> CrossFit:
    """Fits everything once per fold; `groups` numbers the recipe of each row."""
    masks = split(groups, _FOLDS, seed)
    smooth = np.empty((len(scores), len(tuned)))
    folds: list[list[SmoothModel]] = []
    for train, test in train_test_masks(masks):
        seen = table.take(train)
        own = np.unique(groups[train], return_inverse=True)[1]
        inner = split(own, _INNER_FOLDS, seed)
        folds.append([one.refit(seen, scores[train], inner) for one in tuned])
        smooth[test] = predictions(folds[-1], table.take(test))
    transform = RankTransform.of(scores)
    ranks = transform.to_ranks(scores)
    inside = np.array([one.inside for one in tuned])
    weights = np.zeros(len(tuned))
    weights[inside] = stacked_weights(transform.to_ranks(smooth[:, inside]), ranks)
    rounds = rounds_to_try(len(scores)) if len(scores) >= _TREES_NEED else [0]
    staged = np.zeros((len(scores), len(rounds)))
    if rounds[-1]:
        for (train, test), models in zip(train_test_masks(masks), folds, strict=True):
            seen, unseen = table.take(train), table.take(test)
            left = ranks[train] - transform.pooled_ranks(predictions(models, seen), weights)
            trees = _boosted(seen, left, rounds[-1], seed)
            staged[test] = np.stack([_correction(trees, unseen, n) for n in rounds], axis=1)
    missed = (transform.pooled_ranks(smooth, weights)[:, None] + staged - ranks[:, None]) ** 2
    row_weights, correction = np.zeros_like(smooth), np.empty(len(scores))
    for train, test in train_test_masks(masks):
        seen_ranks = transform.to_ranks(smooth[train][:, inside])
        row_weights[np.ix_(test, inside)] = stacked_weights(seen_ranks, ranks[train])
        correction[test] = staged[test, first_unless_better(missed[train])]
    best = rounds[first_unless_better(missed)]
    return CrossFit(weights, best, smooth, row_weights, correction)


def predictions(models: Sequence[SmoothModel], table: EncodedFeatures) -> Floats:
    """Rows by models."""
    return np.stack([model.predict(table) for model in models], axis=1)


# Weights of the models' disagreement inside the support; held-out errors decide.
_SPREADS = (0.0, 0.25, 0.5, 1.0)
# Outside there are none to decide: extrapolating models differ by about two to four times their
# error (RegMix, whole sources held out).
_OUTER = 0.5
_FEW = 50


class Calibration(FittedState):
    """Turns the disagreement of models into an uncertainty, and that into an interval.

    `noise` is in units of the scores, `half_width` in units of the uncertainty; `spread` weighs
    the models' disagreement inside the support.
    """

    noise: float
    spread: float
    scale: float
    half_width: float

    @classmethod
    def fit(
        cls, errors: Floats, combined: EnsemblePrediction, outside: Floats, coverage: float
    ) -> Calibration:
        """From held-out errors. Barber et al. 2021, "Predictive inference with the jackknife+";
        Lei et al. 2018, "Distribution-free predictive inference for regression", on local units."""
        noise = max(float(np.sqrt((errors**2).mean())), 1e-12)
        tried = []
        for spread in _SPREADS:
            local = _local(noise, spread, combined, outside)
            scale = max(float(np.sqrt(((errors / local) ** 2).mean())), 1e-6)
            surprise = float(np.log(scale * local).mean())
            tried.append((surprise, spread, scale, local))
        _, spread, scale, local = min(tried, key=lambda one: one[0])
        half_width = _quantile(np.abs(errors) / (scale * local), coverage)
        return cls(noise=noise, spread=spread, scale=scale, half_width=half_width)

    def uncertainty(self, combined: EnsemblePrediction, outside: Floats) -> Floats:
        """Like a standard error, in units of the scores."""
        return self.scale * _local(self.noise, self.spread, combined, outside)


def _local(noise: float, spread: float, combined: EnsemblePrediction, outside: Floats) -> Floats:
    local: Floats = np.sqrt(
        (noise * (1 + outside)) ** 2
        + spread**2 * combined.inner_variance
        + _OUTER**2 * combined.outer_variance
    )
    return local


def _quantile(ratios: Floats, coverage: float) -> float:
    """The conformal quantile. Among few ratios a lucky one moves it much, or there are too few for
    it: then it is at least Student's t."""
    count = len(ratios)
    rank = math.ceil((count + 1) * coverage)
    conformal = float(np.sort(ratios)[min(rank, count) - 1])
    if rank <= count and count >= _FEW:
        return conformal
    t = reward_package("scipy.stats").t
    student = float(t.ppf((1 + coverage) / 2, count - 1)) * math.sqrt(1 + 1 / count)
    return max(conformal, student)
