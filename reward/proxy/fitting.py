"""Cross-fitting: every model's predictions of measurements that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datachef.reward.proxy.arrays import Floats
from datachef.reward.proxy.blend import stacked_weights
from datachef.reward.proxy.folds import held_out, split
from datachef.reward.proxy.scale import Scale
from datachef.reward.proxy.smooth import Smooth, Tuned
from datachef.reward.proxy.table import Table
from datachef.reward.proxy.trees import ResidualTrees, rounds_to_try

_FOLDS = 10
_INNER_FOLDS = 5
_TREES_NEED = 20


@dataclass(frozen=True)
class CrossFit:
    """What held-out rows teach about the models.

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
    table: Table, scores: Floats, groups: NDArray[np.int64], tuned: Sequence[Tuned], seed: int
) -> CrossFit:
    """Fits everything once per fold; `groups` numbers the recipe of each row."""
    masks = split(groups, _FOLDS, seed)
    smooth = np.empty((len(scores), len(tuned)))
    folds: list[list[Smooth]] = []
    for train, test in held_out(masks):
        seen = table.take(train)
        own = np.unique(groups[train], return_inverse=True)[1]
        inner = split(own, _INNER_FOLDS, seed)
        folds.append([one.refit(seen, scores[train], inner) for one in tuned])
        smooth[test] = predictions(folds[-1], table.take(test))
    scale = Scale.of(scores)
    places = scale.place(scores)
    weights = stacked_weights(scale.place(smooth), places)
    rounds = rounds_to_try(len(scores)) if len(scores) >= _TREES_NEED else [0]
    staged = np.zeros((len(scores), len(rounds)))
    if rounds[-1]:
        for (train, test), models in zip(held_out(masks), folds, strict=True):
            seen, unseen = table.take(train), table.take(test)
            left = places[train] - scale.pool(predictions(models, seen), weights)
            trees = ResidualTrees.fit(seen, left, rounds[-1], seed)
            staged[test] = np.stack([trees.predict(unseen, count) for count in rounds], axis=1)
    missed = (scale.pool(smooth, weights)[:, None] + staged - places[:, None]) ** 2
    row_weights, correction = np.empty_like(smooth), np.empty(len(scores))
    for train, test in held_out(masks):
        row_weights[test] = stacked_weights(scale.place(smooth[train]), places[train])
        correction[test] = staged[test, _earned(missed[train])]
    best = rounds[_earned(missed)]
    return CrossFit(weights, best, smooth, row_weights, correction)


def _earned(missed: Floats) -> int:
    """Which number of trees has the least error, of squared errors with a row per measurement and a
    column per number: none, the first, unless the gain exceeds its standard error."""
    best = int(missed.mean(axis=0).argmin())
    gain = missed[:, 0] - missed[:, best]
    doubt = float(gain.std()) / len(gain) ** 0.5
    return best if float(gain.mean()) > doubt else 0


def predictions(models: Sequence[Smooth], table: Table) -> Floats:
    """Rows by models."""
    return np.stack([model.predict(table) for model in models], axis=1)
