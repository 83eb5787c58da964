"""One true measurement: a recipe's corpus, trained on and scored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import orjson

from datachef.core.errors import DatachefError


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement as the history keeps it.

    `recipe` is the canonical YAML (`Recipe.to_yaml`); `recipe_key` and `task_key` are hashes of all
    that the recipe's corpus and the task's questions depend on. `score` lies in [0, 1], higher is
    better; `scores` are the metrics by name and `features` what a proxy learns from, None where
    unknown. `corpus` tells its sizes (`rows`, `tokens`), `training` the settings of training,
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
