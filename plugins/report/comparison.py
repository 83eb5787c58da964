"""Two finished runs beside each other: what differs in their recipes, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from datachef.core import FinishedRun
from datachef.plugins.report.recipe_changes import RecipeChange, recipe_changes
from datachef.plugins.report.row_changes import ComparedRow, LossReason, RowChanges, RowCount

SHOWN_CHARACTERS = 2_000
# Distributions that lie no further apart are the same to people.
_LEAST_DISTANCE = 0.02
# A step by its source, its operator, and how often that stood there before.
_Key = tuple[str | None, str, int]


@dataclass(frozen=True)
class ComparedSource:
    """What two corpora hold of a source."""

    source: str
    rows: tuple[int, int]
    tokens: tuple[int, int]


@dataclass(frozen=True)
class ComparedStep:
    """What a step did in two runs: its places, None where one has no such step, the rows that
    reached and passed it, and by reason those that it dropped or failed on."""

    op: str
    paths: tuple[str | None, str | None]
    rows_in: tuple[int, int]
    rows_out: tuple[int, int]
    rejected: dict[str, tuple[int, int]]

    @property
    def differs(self) -> bool:
        """Whether the numbers are others, or the step is not in both."""
        pairs = (self.rows_in, self.rows_out, *self.rejected.values())
        return None in self.paths or any(before != after for before, after in pairs)


@dataclass(frozen=True)
class SignalShift:
    """How a signal of the rows that reached a step differs: its median and its tenths at both ends,
    and how far the two distributions lie apart (Kolmogorov-Smirnov: 0 the same, 1 no value in
    common)."""

    path: str
    signal: str
    distance: float
    low: tuple[float, float]
    median: tuple[float, float]
    high: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """What differs between two finished runs."""

    before: str
    after: str
    recipe: Sequence[RecipeChange]
    sources: Sequence[ComparedSource]
    steps: Sequence[ComparedStep]
    rows: Sequence[RowCount]
    reasons: Sequence[LossReason]
    samples: Sequence[ComparedRow]
    signals: Sequence[SignalShift]

    @classmethod
    def of(cls, before: FinishedRun, after: FinishedRun, examples: int) -> Comparison:
        """The comparison, with up to `examples` rows of each source and kind."""
        changes = RowChanges(before, after)
        return cls(
            str(before.folder),
            str(after.folder),
            recipe_changes(before, after),
            _sources(before, after),
            _steps(before, after),
            changes.counts,
            changes.reasons(),
            changes.samples(examples, SHOWN_CHARACTERS),
            _shifts(before, after),
        )

    def to_data(self) -> dict[str, Any]:
        """The comparison as JSON-ready data."""
        return asdict(self)


def _sources(before: FinishedRun, after: FinishedRun) -> list[ComparedSource]:
    shares = [{share.source: share for share in run.shares} for run in (before, after)]

    def both(name: str, field: str) -> tuple[int, int]:
        first, second = (getattr(known.get(name), field, 0) for known in shares)
        return first, second

    names = dict.fromkeys((*shares[0], *shares[1]))
    return [ComparedSource(name, both(name, "rows"), both(name, "tokens")) for name in names]


def _steps(before: FinishedRun, after: FinishedRun) -> list[ComparedStep]:
    """The steps of the second run in their order, and then those that only the first one has."""
    entries = [_by_key(run) for run in (before, after)]
    found = []
    for key in dict.fromkeys((*entries[1], *entries[0])):
        pair = [known.get(key) for known in entries]
        counts = [entry.dropped + entry.failed if entry else {} for entry in pair]
        reasons = sorted({*counts[0], *counts[1]})
        found.append(
            ComparedStep(
                key[1],
                _pair(entry.path if entry else None for entry in pair),
                _pair(entry.rows_in if entry else 0 for entry in pair),
                _pair(entry.rows_out if entry else 0 for entry in pair),
                {reason: _pair(count.get(reason, 0) for count in counts) for reason in reasons},
            )
        )
    return found


def _pair(values: Iterable[Any]) -> tuple[Any, Any]:
    first, second = values
    return first, second


def _by_key(run: FinishedRun) -> dict[_Key, Any]:
    """The entries of the ledger by what tells a step from the others in any recipe."""
    found: dict[_Key, Any] = {}
    for entry in run.ledger:
        place, number = entry.source, 0
        while (place, entry.op, number) in found:
            number += 1
        found[place, entry.op, number] = entry
    return found


def _shifts(before: FinishedRun, after: FinishedRun) -> list[SignalShift]:
    """The signals of steps that both runs have, the one that shifts most first."""
    found = []
    entries = [_by_key(run) for run in (before, after)]
    for key in entries[1].keys() & entries[0].keys():
        paths = [known[key].path for known in entries]
        tables = [
            run.signals.filter(pl.col("step") == path, pl.col("low").is_not_null())
            for run, path in zip((before, after), paths, strict=True)
        ]
        for signal in sorted(set(tables[0]["signal"]) & set(tables[1]["signal"])):
            one, other = (table.filter(pl.col("signal") == signal) for table in tables)
            distance = _distance(one, other)
            if distance >= _LEAST_DISTANCE:
                parts = zip(_quantiles(one), _quantiles(other), strict=True)
                found.append(SignalShift(paths[1], signal, distance, *parts))
    return sorted(found, key=lambda shift: (-shift.distance, shift.path, shift.signal))


def _distance(one: pl.DataFrame, other: pl.DataFrame) -> float:
    """The largest difference between the shares of rows up to any value."""
    bins = (
        pl.concat([one.with_columns(run=pl.lit(0)), other.with_columns(run=pl.lit(1))])
        .group_by("low")
        .agg(pl.col("rows").filter(pl.col("run") == run).sum().alias(str(run)) for run in (0, 1))
        .sort("low")
    )
    shares = [bins[name].to_numpy().cumsum() / max(bins[name].sum(), 1) for name in ("0", "1")]
    return float(np.abs(shares[0] - shares[1]).max())


def _quantiles(table: pl.DataFrame) -> list[float]:
    """The least values of the bins in which a tenth, half and nine tenths of the rows end."""
    table = table.group_by("low").agg(pl.col("rows").sum()).sort("low")
    lows, shares = table["low"].to_numpy(), table["rows"].to_numpy().cumsum()
    return [float(lows[np.searchsorted(shares, part * shares[-1])]) for part in (0.1, 0.5, 0.9)]
