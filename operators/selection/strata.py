"""Groups of rows by the value of a column, or by where a number lies among all."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core import RunError

NUMBERS = "name a numeric column, or a signal that a filter keeps (keep_signals: true)"


def numeric(batch: pl.DataFrame, column: str, op: str) -> pl.Expr:
    """The column as numbers. Raises `RunError` where it holds none.

    NaN is what a broken measurement leaves behind: it is no value, and not the highest one.
    """
    dtype = batch.schema[column]
    if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        raise RunError(f"{op} by {column}: the column holds {dtype}, not numbers", hint=NUMBERS)
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def quantile_bins(value: pl.Expr, bins: int) -> pl.Expr:
    """The number of the bin of each value, from 0 for the lowest; all bins have as many values, so
    far as equal ones, which share the bin of the first, allow; null where there is no value."""
    place = value.rank("min") - 1
    return (place * bins // value.count()).cast(pl.Int32)


def allocated(
    sizes: NDArray[np.int64], weights: NDArray[np.float64], total: int
) -> NDArray[np.int64]:
    """Whole numbers of about `total`, in proportion to the weights, and none beyond its size: what
    one cannot hold the others get. Where rounding leaves some, those that lost most get them."""
    total = min(total, int(sizes.sum()))
    order = np.argsort(sizes / weights, kind="stable")
    exact = sizes.astype(np.float64)
    left, weight = float(total), float(weights.sum())
    for place, stratum in enumerate(order):
        scale = left / weight
        if sizes[stratum] > weights[stratum] * scale:
            rest = order[place:]
            exact[rest] = weights[rest] * scale
            break
        left -= sizes[stratum]
        weight -= weights[stratum]
    whole = np.minimum(np.floor(exact + 1e-9).astype(np.int64), sizes)
    lost = np.argsort(whole - exact, kind="stable")
    lost = lost[whole[lost] < sizes[lost]]
    whole[lost[: total - int(whole.sum())]] += 1
    return whole
