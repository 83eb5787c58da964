"""How sure the mean of a few runs is."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from datachef.core.errors import MissingPackageError

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95% interval of the mean by Student's t.

    None for fewer than two values: one run cannot tell how far apart others would lie. Raises
    `MissingPackageError` without SciPy.
    """
    if len(values) < 2:
        return None
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingPackageError("scipy", "datachef[policy]", "an interval over runs") from error
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return (fmean(values) - half, fmean(values) + half)
