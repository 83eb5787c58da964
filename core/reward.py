"""The contract of a reward: what a recipe is expected to score, and how sure that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Score:
    """A prediction, never a bare number.

    `value` is the expected score in [0, 1], `uncertainty` its standard error, `parts` what it is
    made of by name, `gate` the name of the gate that failed, if one did, and `off_support` tells
    that the recipe lies where nothing like it was measured.
    """

    value: float
    uncertainty: float
    parts: Mapping[str, float] = field(default_factory=dict)
    gate: str = ""
    off_support: bool = False


class Reward(ABC):
    """Scores recipes for the task that they name, without training on what they make."""

    @abstractmethod
    def score(self, recipe: Path) -> Score:
        """The score of one recipe file. The same recipe, data and seed give the same score."""
