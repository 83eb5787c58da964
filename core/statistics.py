"""How sure the mean of a few values is."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError


def mean_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """The interval of the mean by Student's t, with that coverage.

    None for fewer than two values: one cannot tell how far apart others would lie. Raises
    `MissingPackageError` without SciPy.
    """
    if len(values) < 2:
        return None
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingPackageError("scipy", extra("reward"), "an interval of a mean") from error
    half = float(t.ppf((1 + coverage) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return (fmean(values) - half, fmean(values) + half)
