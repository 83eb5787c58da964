"""Measurements as the history keeps them, and what repeated ones say of a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import orjson
import polars as pl

from datachef.core.contracts.reward import mean_interval
from datachef.core.errors import DatachefError


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class MeasurementRecord:
    """A measurement as the history keeps it.

    `recipe` is the canonical YAML (`Recipe.to_yaml`); `recipe_key` and `task_key` are hashes of all
    that the recipe's corpus and the task's questions depend on. `score` lies in [0, 1], higher is
    better; `scores` are the metrics by name and `features` what a proxy learns from, None where
    unknown. `corpus` has its sizes (`rows`, `tokens`), `training` the settings of training,
    `versions` those of the packages, `vocabulary` the fingerprint of the operators. `seconds` is
    what it cost. `created` is the time in UTC, ISO 8601. `id` is given by the history.

    A feature that is not a finite number is unknown. Raises `DatachefError` for a score outside of
    its range and for what is not plain data.
    """

    recipe_name: str
    recipe: str
    recipe_key: str
    task: str
    task_key: str
    base_model: str
    seed: int
    score: float
    scores: Mapping[str, float]
    features: Mapping[str, float | None]
    versions: Mapping[str, str]
    seconds: float
    corpus: Mapping[str, int]
    training: Mapping[str, Any]
    vocabulary: str
    created: str = field(default_factory=_now)
    id: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise self._refused(f"the score is {self.score}, not between 0 and 1")
        if not 0 <= self.seed < 2**63:
            raise self._refused(f"the seed is {self.seed}, not between 0 and 2^63")
        finite = {"seconds": self.seconds, **self.scores}
        if bad := [name for name, value in finite.items() if not math.isfinite(value)]:
            raise self._refused(f"not a finite number: {', '.join(bad)}")
        features = {name: _known(value) for name, value in self.features.items()}
        object.__setattr__(self, "features", features)
        scores = {name: float(value) for name, value in self.scores.items()}
        object.__setattr__(self, "scores", scores)
        for field_ in fields(self):
            object.__setattr__(self, field_.name, self._plain(field_.name))

    def _plain(self, name: str) -> Any:
        """A value the way it comes back from JSON, so that what is read equals what was added."""
        try:
            return orjson.loads(canonical(getattr(self, name)))
        except TypeError as error:
            raise self._refused(f"{name} is not plain data: {error}") from None

    def _refused(self, why: str) -> DatachefError:
        name = ascii(self.recipe_name)[1:-1]
        return DatachefError(f"the measurement of {name} cannot be kept: {why}")


def canonical(data: Any) -> bytes:
    """Plain data as JSON with sorted keys."""
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)


def _known(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


COLUMNS = {
    "recipe_name": pl.String, "recipe": pl.String, "recipe_key": pl.String,
    "task": pl.String, "task_key": pl.String, "base_model": pl.String, "seed": pl.Int64,
    "score": pl.Float64, "scores": pl.String, "features": pl.String, "versions": pl.String,
    "seconds": pl.Float64, "corpus": pl.String, "training": pl.String, "vocabulary": pl.String,
    "created": pl.String,
}  # fmt: skip
_JSON = ("scores", "features", "versions", "corpus", "training")


def row_of(measured: MeasurementRecord) -> dict[str, Any]:
    """All of a measurement but its id; mappings are JSON with sorted keys."""
    row = {name: getattr(measured, name) for name in COLUMNS}
    return row | {name: canonical(row[name]).decode() for name in _JSON}


def record_of(row: Mapping[str, Any]) -> MeasurementRecord:
    """The measurement that a row was made of. Raises `ValueError` where the JSON is none."""
    return MeasurementRecord(**{**row, **{name: orjson.loads(row[name]) for name in _JSON}})


# Measurements of different tasks, base models or training say nothing of one another.
ComparisonKey = tuple[str, str, str]


@dataclass(frozen=True)
class ScoreSummary:
    """A recipe measured in one way over several seeds.

    `mean` is the mean score, `interval` its 95% interval by Student's t over seeds (None for a
    single seed), `scores` the mean of each metric that every one of `measurements` has.
    """

    mean: float
    interval: tuple[float, float] | None
    scores: Mapping[str, float]
    measurements: tuple[MeasurementRecord, ...]

    @property
    def first(self) -> MeasurementRecord:
        """The earliest of the measurements, with the recipe, task and training of all."""
        return self.measurements[0]


@dataclass(frozen=True)
class ScoreDifference:
    """How much better `second` is than `first`, seed by seed; `interval` as in `ScoreSummary`."""

    first: ScoreSummary
    second: ScoreSummary
    mean: float
    interval: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class RecipeComparison:
    """The summaries of all recipes compared, best first, and the difference of each from the recipe
    that was named first, where both were measured in the same way with the same seeds."""

    summaries: tuple[ScoreSummary, ...]
    differences: tuple[ScoreDifference, ...]


def score_summaries(measurements: Sequence[MeasurementRecord]) -> list[ScoreSummary]:
    """One for each recipe and way of measuring it, best first; equals in order of their ids."""
    groups: dict[tuple[str, ComparisonKey], list[MeasurementRecord]] = {}
    for measured in measurements:
        groups.setdefault((measured.recipe_key, comparison_key(measured)), []).append(measured)
    found = [score_summary(group) for group in groups.values()]
    return sorted(found, key=lambda summary: (-summary.mean, summary.first.id))


def compared(recipes: Sequence[Sequence[MeasurementRecord]]) -> RecipeComparison:
    """The comparison of recipes, each given by its measurements, with the first."""
    every = [score_summaries(measurements) for measurements in recipes]
    best_first = sorted((s for one in every for s in one), key=lambda s: (-s.mean, s.first.id))
    differences = [
        difference
        for one in every[1:]
        for second in one
        for first in every[0]
        if comparison_key(first.first) == comparison_key(second.first)
        and (difference := _difference(first, second)) is not None
    ]
    return RecipeComparison(tuple(best_first), tuple(differences))


def comparison_key(measured: MeasurementRecord) -> ComparisonKey:
    """How it was measured, apart from the recipe and the seed."""
    return (measured.task_key, measured.base_model, canonical(measured.training).decode())


def score_summary(measurements: Sequence[MeasurementRecord]) -> ScoreSummary:
    """What measurements of one recipe, made in one way, say together."""
    scores = [measured.score for measured in measurements]
    names = sorted(set.intersection(*(set(measured.scores) for measured in measurements)))
    bounds = mean_interval(scores)
    return ScoreSummary(
        mean=fmean(scores),
        interval=(max(bounds[0], 0.0), min(bounds[1], 1.0)) if bounds else None,
        scores={name: fmean(m.scores[name] for m in measurements) for name in names},
        measurements=tuple(measurements),
    )


def _difference(first: ScoreSummary, second: ScoreSummary) -> ScoreDifference | None:
    of_first = {measured.seed: measured.score for measured in first.measurements}
    of_second = {measured.seed: measured.score for measured in second.measurements}
    seeds = sorted(of_first.keys() & of_second.keys())
    if not seeds:
        return None
    gains = [of_second[seed] - of_first[seed] for seed in seeds]
    return ScoreDifference(first, second, fmean(gains), mean_interval(gains), len(seeds))
