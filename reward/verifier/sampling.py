"""Which rows are looked at, and what they say of all rows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import polars as pl

from datachef.core.sampling import priority

# The variance of a coin: no value between 0 and 1 varies more.
LARGEST_VARIANCE = 0.25


@dataclass(frozen=True)
class Stratum:
    """One source: `rows` of it were drawn from `size`; `share` is its part of the whole weight."""

    source: str
    share: float
    size: int
    rows: pl.DataFrame


def draw(rows: pl.DataFrame, count: int, seed: int) -> list[Stratum]:
    """So many rows, stratified by `source`, sorted by it.

    Takes `id`, `source` and `weight`; rows that weigh nothing are left out. A source gets rows in
    proportion to its weight, but at least one (then they may be more than `count`) and at most as
    many as it has. Which ones depends on the seed and their ids alone, so that two recipes that
    keep the same rows are judged on the same ones.
    """
    rows = rows if rows.is_empty() else rows.filter(pl.col("weight") > 0)
    if rows.is_empty():
        return []
    order = priority(rows["id"], seed).alias("order")
    ordered = rows.with_columns(order).sort("order", "id").drop("order")
    groups = {str(key[0]): part for key, part in ordered.group_by("source", maintain_order=True)}
    weights = {name: float(groups[name]["weight"].sum()) for name in sorted(groups)}
    whole = sum(weights.values())
    sizes = {name: groups[name].height for name in weights}
    quotas = _allot(weights, sizes, count)
    return [
        Stratum(name, weights[name] / whole, sizes[name], groups[name].head(quotas[name]))
        for name in weights
    ]


def _allot(weights: Mapping[str, float], sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many rows each source gives: the Sainte-Laguë method, beginning with one for each."""
    quotas = dict.fromkeys(weights, 1)
    waiting = [(-weights[name] / 3, name) for name in weights if sizes[name] > 1]
    heapq.heapify(waiting)
    for _ in range(count - len(quotas)):
        if not waiting:
            break
        _, name = heapq.heappop(waiting)
        quotas[name] += 1
        if quotas[name] < sizes[name]:
            heapq.heappush(waiting, (-weights[name] / (2 * quotas[name] + 1), name))
    return quotas


@dataclass(frozen=True)
class Estimate:
    """A mean over all rows, estimated from those that were drawn; 0 without any rows."""

    mean: float
    standard_error: float
    by_source: Mapping[str, float]


def estimate(strata: Iterable[Stratum], values: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean by weight of values in [0, 1], given for each source in the order of its rows.

    With W the share of a source, n of its N rows drawn, w their weights and y their values:

        mean = sum of W m                      m = sum(w y) / sum(w)
        standard error^2 = sum of W^2 (1 - n/N) v
        v = n / (n - 1) * sum(w^2 (y - m)^2) / sum(w)^2

    where v is s^2/n when all rows of a source weigh the same (Cochran, Sampling Techniques, 1977,
    chapters 5 and 6). One row of several tells no variance: the largest there can be is taken.
    """
    mean = variance = 0.0
    by_source = {}
    for stratum in strata:
        weights = stratum.rows["weight"].to_list()
        drawn = list(zip(weights, values[stratum.source], strict=True))
        total, count = sum(weights), len(drawn)
        own = sum(weight * value for weight, value in drawn) / total
        if count == 1:
            spread = LARGEST_VARIANCE
        else:
            squares = sum((weight * (value - own)) ** 2 for weight, value in drawn)
            spread = count / (count - 1) * squares / total**2
        mean += stratum.share * own
        variance += stratum.share**2 * (1 - count / stratum.size) * spread
        by_source[stratum.source] = own
    return Estimate(min(mean, 1.0), sqrt(variance), by_source)  # shares may add up to 1 + 1e-16
