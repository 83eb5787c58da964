"""A measurement as it is kept, and the columns of the tables that hold it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl

from datachef.core.errors import DatachefError
from datachef.reward.score_kinds import LIKELIHOOD, REFERENCE_POINTS, SCORE_KINDS


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class MeasurementRecord:
    """A measurement as the history keeps it.

    `recipe` is the canonical YAML (`Recipe.to_yaml`); `recipe_key` and `task_key` are hashes of all
    that the recipe's corpus and the task's questions depend on. `score` lies in [0, 1], higher is
    better; `score_name`, `chance`, `base` and `ceiling` say what it is, as in `score_kinds`, the
    last three None where unknown. `scores` are the metrics by name and `features` what a proxy
    learns from, None where unknown. `corpus` has its sizes (`rows`, `tokens`), `training` the
    settings of training, `tuned` what was chosen in it, `versions` those of packages and digests
    of features of plugins, `vocabulary` the fingerprint of the operators. `seconds` is what it
    cost. `created` is the time in UTC, ISO 8601. `id` is given by the history.

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
    score_name: str = LIKELIHOOD
    chance: float | None = None
    base: float | None = None
    ceiling: float | None = None
    scores: Mapping[str, float]
    features: Mapping[str, float | None]
    versions: Mapping[str, str]
    seconds: float
    corpus: Mapping[str, int]
    training: Mapping[str, Any]
    tuned: Mapping[str, Any] = field(default_factory=dict)
    vocabulary: str
    created: str = field(default_factory=_now)
    id: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.score_name not in SCORE_KINDS:
            raise self._refused(f"there is no kind of score {self.score_name!r}")
        for name in ("score", *REFERENCE_POINTS):
            value = getattr(self, name)
            if not (0 <= value <= 1 if value is not None else name != "score"):
                raise self._refused(f"the {name} is {value}, not between 0 and 1")
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


# What a file of version 1 has: scores of one kind, without points of reference.
FIRST_COLUMNS = {
    "recipe_name": pl.String, "recipe": pl.String, "recipe_key": pl.String,
    "task": pl.String, "task_key": pl.String, "base_model": pl.String, "seed": pl.Int64,
    "score": pl.Float64, "scores": pl.String, "features": pl.String, "versions": pl.String,
    "seconds": pl.Float64, "corpus": pl.String, "training": pl.String, "vocabulary": pl.String,
    "created": pl.String,
}  # fmt: skip
OPTIONAL = dict.fromkeys(REFERENCE_POINTS, pl.Float64)
COLUMNS = FIRST_COLUMNS | {"score_name": pl.String, "tuned": pl.String} | OPTIONAL
_JSON = ("scores", "features", "versions", "corpus", "training", "tuned")


def row_of(measured: MeasurementRecord) -> dict[str, Any]:
    """All of a measurement but its id; mappings are JSON with sorted keys."""
    row = {name: getattr(measured, name) for name in COLUMNS}
    return row | {name: canonical(row[name]).decode() for name in _JSON}


def record_of(row: Mapping[str, Any]) -> MeasurementRecord:
    """The measurement that a row was made of, which may be one of version 1.

    Raises `ValueError` where the JSON is none.
    """
    read = {name: orjson.loads(row[name]) for name in _JSON if name in row}
    return MeasurementRecord(**{**row, **read})
