"""How much of a measured score is chance: whether a task tells recipes apart at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance, variance

from datachef.reward.measurement import MeasurementRecord

# Fewer recipes with as many seeds say too little of noise.
FEWEST_RECIPES, FEWEST_SEEDS = 6, 3
# The spread between recipes has to be this many times that between seeds.
LEAST_SIGNAL = 2.0


@dataclass(frozen=True)
class ScoreNoise:
    """Standard deviations of scores between recipes, and between seeds of one recipe, of which
    `repeated` recipes have several; `thoroughly` is how many have at least three."""

    between_recipes: float
    between_seeds: float | None
    repeated: int
    thoroughly: int = 0

    @property
    def signal(self) -> float | None:
        """The spread between recipes over that between seeds; None where the latter is unknown."""
        if self.between_seeds is None:
            return None
        return self.between_recipes / self.between_seeds if self.between_seeds else float("inf")

    @property
    def measurable(self) -> bool | None:
        """Whether recipes differ by more than chance; None while too few were repeated."""
        if self.signal is None or self.thoroughly < FEWEST_RECIPES:
            return None
        return self.signal >= LEAST_SIGNAL

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.measurable is None:
            return f"unknown: {FEWEST_RECIPES} recipes with {FEWEST_SEEDS} seeds would tell"
        return "measurable" if self.measurable else "not measurable at this scale"


def noise_of(measurements: Sequence[MeasurementRecord]) -> ScoreNoise:
    """The noise among measurements made alike."""
    by_recipe = defaultdict(list)
    for measured in measurements:
        by_recipe[measured.recipe_key].append(measured.score)
    repeated = [scores for scores in by_recipe.values() if len(scores) > 1]
    within = fmean(variance(scores) for scores in repeated) ** 0.5 if repeated else None
    between = pvariance([fmean(scores) for scores in by_recipe.values()]) ** 0.5
    thoroughly = sum(len(scores) >= FEWEST_SEEDS for scores in repeated)
    return ScoreNoise(between, within, len(repeated), thoroughly)
