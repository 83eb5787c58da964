"""Cross-conformal intervals: as wide as held-out measurements say they must be."""

from __future__ import annotations

import math

import numpy as np

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.reward.proxy.arrays import Floats, State
from datachef.reward.proxy.blend import Opinions

# Weights of the models' disagreement inside the support; held-out errors decide.
_SPREADS = (0.0, 0.25, 0.5, 1.0)
# Outside of it there are none that could decide: models that extrapolate are apart by about two to
# four times their error (RegMix, whole sources held out).
_OUTER = 0.5
_FEW = 50


class Calibration(State):
    """Turns how far models are apart into an uncertainty, and that into an interval.

    `noise` is in units of the scores, `half_width` in units of the uncertainty; `spread` weighs
    the models' disagreement inside the support.
    """

    noise: float
    spread: float
    scale: float
    half_width: float

    @classmethod
    def fit(
        cls, errors: Floats, opinions: Opinions, outside: Floats, coverage: float
    ) -> Calibration:
        """From held-out errors. Barber et al. 2021, "Predictive inference with the jackknife+";
        Lei et al. 2018, "Distribution-free predictive inference for regression", on local units."""
        noise = max(float(np.sqrt((errors**2).mean())), 1e-12)
        tried = []
        for spread in _SPREADS:
            local = _local(noise, spread, opinions, outside)
            scale = max(float(np.sqrt(((errors / local) ** 2).mean())), 1e-6)
            surprise = float(np.log(scale * local).mean())
            tried.append((surprise, spread, scale, local))
        _, spread, scale, local = min(tried, key=lambda one: one[0])
        half_width = _quantile(np.abs(errors) / (scale * local), coverage)
        return cls(noise=noise, spread=spread, scale=scale, half_width=half_width)

    def uncertainty(self, opinions: Opinions, outside: Floats) -> Floats:
        """Like a standard error, in units of the scores."""
        return self.scale * _local(self.noise, self.spread, opinions, outside)


def _local(noise: float, spread: float, opinions: Opinions, outside: Floats) -> Floats:
    local: Floats = np.sqrt(
        (noise * (1 + outside)) ** 2 + spread**2 * opinions.inner + _OUTER**2 * opinions.outer
    )
    return local


def _quantile(ratios: Floats, coverage: float) -> float:
    """The conformal quantile. Among few ratios a lucky one moves it much, or there are too few for
    it: then it is at least Student's t."""
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingPackageError("scipy", extra("reward"), "the proxy") from error
    count = len(ratios)
    rank = math.ceil((count + 1) * coverage)
    conformal = float(np.sort(ratios)[min(rank, count) - 1])
    if rank <= count and count >= _FEW:
        return conformal
    student = float(t.ppf((1 + coverage) / 2, count - 1)) * math.sqrt(1 + 1 / count)
    return max(conformal, student)
