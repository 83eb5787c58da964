"""What a run keeps of itself: plain data, one file each."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict

BITS = "bits_per_byte"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fidelity(_Record):
    """How well a proxy ranks recipes that it did not learn from: Spearman's correlation, every
    recipe left out once, with its 95% interval, over so many measured recipes."""

    recipes: int
    correlation: float
    low: float
    high: float


class Trust(_Record):
    """The fidelity of a proxy fitted to what was measured; None where that is too little."""

    fidelity: Fidelity | None


class Candidate(_Record):
    """A recipe, and what the reward said of it."""

    recipe: dict[str, Any]
    value: float


class Seeded(_Record):
    """A true measurement with one seed."""

    seed: int
    score: float
    scores: dict[str, float]


class Trial(Candidate):
    """A candidate that was measured with some seeds, or why it could not be.

    `key` is the same for recipes that make the same corpus, whose measurements are the same ones.
    """

    key: str = ""
    measured: tuple[Seeded, ...] = ()
    failure: str = ""

    @property
    def name(self) -> str:
        """The recipe's."""
        return str(self.recipe["name"])

    @property
    def score(self) -> float:
        """The mean over seeds. Raises `StatisticsError` where nothing was measured."""
        return fmean(one.score for one in self.measured)

    @property
    def bits(self) -> float | None:
        """The mean bits per byte, where they were measured."""
        found = [one.scores[BITS] for one in self.measured if BITS in one.scores]
        return fmean(found) if found else None


class Round(_Record):
    """A finished round; number 0 is what was known before the first.

    `step` is that of the policy, `calls` counts the reward calls of all rounds so far, `seconds`
    those spent so far. `proxy` names the file that scored the round, `fitted` the one that was
    fitted after it; empty where the reward is as configured.
    """

    number: int
    step: int
    calls: int
    seconds: float
    proxy: str
    candidates: tuple[Candidate, ...]
    trials: tuple[Trial, ...]
    fitted: str


class Contender(_Record):
    """What a method found, by the last proxy and by measurement.

    It made `calls` reward calls; `value` is the best that the last proxy thinks of its recipes.
    `chosen_among` were measured to choose one of them; `final` is the chosen one, measured with
    seeds of its own, None where nothing could be measured. `evaluations` are those beyond the
    rounds.
    """

    method: str
    calls: int
    value: float
    chosen_among: int
    evaluations: int
    final: Trial | None
