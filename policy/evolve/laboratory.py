"""The contract of a laboratory: where recipes are really measured, and the proxy learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from datachef.core.contracts.reward import Reward
from datachef.policy.evolve.run_state import Fidelity


class Measurement(Protocol):
    """What a recipe really scored with one seed: in [0, 1], higher is better, and by name.

    `recipe_key` is the same for recipes that make the same corpus.
    """

    @property
    def recipe_key(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def score(self) -> float: ...

    @property
    def scores(self) -> Mapping[str, float]: ...


class Laboratory(Protocol):
    """Measures the recipes of one task and remembers what it measured, whoever stops it."""

    def reward(self, proxy: Path | None) -> Reward:
        """The reward with a proxy that `refit` saved, or as it was configured. It says the same
        every time it is made."""

    def measure(self, recipe: Path, seeds: Sequence[int]) -> Sequence[Measurement]:
        """The measurements of a recipe file, one per seed; what is known is not measured again.

        Raises `DatachefError` for a recipe that cannot be measured.
        """

    def refit(self, target: Path) -> bool:
        """Fits the proxy to all that was measured and saves it whole; False, and no file, where too
        little was measured."""

    def fidelity(self) -> Fidelity | None:
        """How far to trust a proxy that is fitted to all that was measured; None where too little
        was. May take long."""
