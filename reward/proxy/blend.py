"""How the models share the say: by what they got right, and evenly where none has proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.reward.proxy.arrays import Floats, State, Vector
from datachef.reward.proxy.scale import Scale

# Weights are pulled towards equality as if by this many rows.
_PRIOR_ROWS = 5.0


@dataclass(frozen=True)
class Opinions:
    """What the models make of rows.

    `parts`: the softened prediction of each smooth model and the corrected one, rows by models;
    `value`: the blend. `inner` and `outer` are variances: how far the models are apart, among
    those that decide inside the support, and among those that are heard outside.
    """

    parts: Floats
    value: Floats
    inner: Floats
    outer: Floats


def stacked_weights(held_out: Floats, scores: Floats) -> Floats:
    """Weights that are at least 0 and sum to 1, by least squares on held-out predictions.

    `held_out` has a row per measurement and a column per model. Breiman 1996, "Stacked
    regressions".
    """
    try:
        from scipy.optimize import nnls
    except ImportError as error:
        raise MissingPackageError("scipy", extra("reward"), "the proxy") from error
    models = held_out.shape[1]
    # As the weights sum to 1, the error of the blend is the blend of the errors.
    missed = (held_out - scores[:, None]) / (float(scores.std()) or 1.0)
    pull = np.sqrt(_PRIOR_ROWS) * np.eye(models)
    sum_to_one = np.full((1, models), 1e4)
    columns = np.vstack([missed, pull, sum_to_one])
    target = np.concatenate([np.zeros(len(scores)), pull.sum(axis=1) / models, sum_to_one[0, :1]])
    weights, _ = nnls(columns, target)
    normalised: Floats = weights / weights.sum()
    return normalised


class Blend(State):
    """Combines the predictions of smooth models and the trees' correction.

    Inside the support, the weighted models and the correction decide. Entirely outside, the
    corrected prediction and every model that extrapolates have an equal say: what was learned
    about who is right does not hold there.
    """

    weights: Vector
    heard_outside: tuple[bool, ...]
    scale: Scale

    def combine(
        self, smooth: Floats, correction: Floats, outside: Floats, weights: Floats | None = None
    ) -> Opinions:
        """`smooth` has rows by models; `outside` is 0 inside of the support, 1 entirely outside;
        `weights`, in place of the blend's own, may be others in every row."""
        weights = self.weights if weights is None else weights
        smooth = self.scale.soften(smooth)
        pooled = self.scale.pool(smooth, weights)
        weighted = self.scale.score(pooled)
        corrected = self.scale.soften(self.scale.score(pooled + correction))
        parts = np.hstack([smooth, corrected[:, None]])
        voices = parts[:, [*self.heard_outside, True]]
        value = (1 - outside) * corrected + outside * voices.mean(axis=1)
        inner = (((smooth - weighted[:, None]) ** 2) * weights).sum(axis=1)
        return Opinions(parts, value, np.maximum(inner, 0.0), outside * voices.var(axis=1))
