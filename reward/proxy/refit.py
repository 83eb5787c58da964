"""Fits a proxy again to more measurements, unless that makes it worse."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from datachef.core.contracts.task import Task
from datachef.reward.history import History, measurement_key
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.proxy.encoding import Floats
from datachef.reward.proxy.fit import feature_table, fit_proxy, task_measurements
from datachef.reward.proxy.folds import group_numbers, split
from datachef.reward.proxy.proxy import (
    FEWEST_MEASUREMENTS,
    FEWEST_RECIPES,
    Proxy,
    RefitComparison,
)
from datachef.reward.proxy.validation import rank_correlation

_FOLDS = 5
_RESAMPLES = 1000
_TAIL = 0.025


def refit_proxy(
    history: History,
    task: Task,
    last: Proxy | None,
    seed: int = 0,
    codes: Mapping[str, str] | None = None,
) -> Proxy:
    """The proxy of a task (`fit_proxy`), or the `last` one where that predicts better, with the
    comparison of both (`compare_refit`)."""
    refit = fit_proxy(history, task, seed, codes)
    if last is None:
        return refit
    found = task_measurements(history, task)
    comparison = compare_refit(found, last.learned_from, seed, codes)
    chosen = last if comparison is not None and comparison.worse else refit
    return chosen.model_copy(update={"comparison": comparison})


def compare_refit(
    found: Sequence[MeasurementRecord],
    learned_from: Collection[str],
    seed: int = 0,
    codes: Mapping[str, str] | None = None,
) -> RefitComparison | None:
    """Compares a proxy that `learned_from` some of the measurements with its refit to all.

    Every recipe, known or new, is predicted by both, each fitted without it: with a fifth of the
    recipes left out at a time. The refit is worse where the 95% interval of a paired bootstrap over
    recipes says so, of the rank correlation or of the mean absolute error.

    None where they cannot be compared: nothing is new, not all that the proxy learned from is among
    the measurements, or that is too little to leave some out.
    """
    known = np.array([measurement_key(measured) in learned_from for measured in found])
    groups = group_numbers([measured.recipe_key for measured in found])
    masks = split(groups, _FOLDS, seed)
    if known.all() or known.sum() < len(learned_from):
        return None
    for rest in (known & ~mask for mask in masks):
        if rest.sum() < FEWEST_MEASUREMENTS or len(set(groups[rest])) < FEWEST_RECIPES:
            return None
    features, scores = feature_table(found, codes), np.array([one.score for one in found])
    before, after = np.empty_like(scores), np.empty_like(scores)
    for mask in masks:
        for predicted, taught in ((before, known & ~mask), (after, ~mask)):
            names = list(map(str, groups[taught]))
            proxy = Proxy.fit(features.filter(taught), scores[taught], groups=names, seed=seed)
            predicted[mask] = [one.value for one in proxy.predict(features.filter(mask))]
    count = np.bincount(groups)
    columns = [np.bincount(groups, column) / count for column in (scores, before, after)]
    random = np.random.default_rng(seed)
    drawn = random.integers(len(count), size=(_RESAMPLES, len(count)))
    changes = np.diff([_figures(*(column[rows] for column in columns)) for rows in drawn])[..., 0]
    low, high = np.quantile(changes, [_TAIL, 1 - _TAIL], axis=0).tolist()
    ranks, errors = _figures(*columns)
    return RefitComparison(
        recipes=len(count),
        new_measurements=int((~known).sum()),
        rank_correlations=ranks,
        rank_change=(low[0], high[0]),
        errors=errors,
        error_change=(low[1], high[1]),
        worse=high[0] < 0 or low[1] > 0,
    )


def _figures(
    measured: Floats, before: Floats, after: Floats
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rank correlation and mean absolute error, each of both predictions."""
    return (
        (rank_correlation(before, measured), rank_correlation(after, measured)),
        (float(np.abs(before - measured).mean()), float(np.abs(after - measured).mean())),
    )
