"""The contract of a reward: what a recipe is expected to score, and how sure that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Score:
    """A prediction, never a bare number.

    `value` is what a policy climbs: in [-1, 1] the pessimistic prediction (`predicted` less a
    multiple of `uncertainty`), in [-2, -1) for a recipe that a gate or guardrail stopped, higher
    the further it came. `predicted` is the expected measured score in [0, 1], `interval` where that
    lies with the probability that the reward promises, and `parts` what it is made of, by name.
    `gate` names the gate that stopped the recipe, `reasons` say why in words, and `off_support`
    tells that nothing like the recipe was measured. `schema` is the form of the rows that were
    scored, empty where the recipe did not come so far.
    """

    value: float
    predicted: float | None = None
    uncertainty: float = 0.0
    interval: tuple[float, float] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    gate: str = ""
    reasons: tuple[str, ...] = ()
    off_support: bool = False
    schema: str = ""


class Reward(ABC):
    """Scores recipes for one task, without training on what they make."""

    @abstractmethod
    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        """The score of one recipe, given as plain data; its relative paths start at `base_dir`.

        The same recipe, data and seed give the same score. The recipe is not changed.
        """

    def score_all(self, recipes: Iterable[Mapping[str, Any]], base_dir: Path) -> list[Score]:
        """The scores of several recipes, in their order."""
        return [self.score(recipe, base_dir) for recipe in recipes]

    def close(self) -> None:  # noqa: B027 - not every reward holds something
        """Ends processes and gives back what the reward held."""


@dataclass(frozen=True)
class RewardConfig:
    """What a registered reward is built from.

    `task` is a task.yaml file; `pool` restricts recipes to the sources of a pool.yaml; relative
    paths among the options start at `folder`; results are cached in `cache`; `plugin_files` are
    loaded in addition to installed plugins; `options` are the reward's own, as plain data.
    """

    task: Path
    pool: Path | None
    folder: Path
    cache: Path
    plugin_files: tuple[str, ...] = ()
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
