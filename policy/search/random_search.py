"""Chance, which every search has to beat."""

from __future__ import annotations

from typing import Any

from datachef.policy.search.drawn import DrawnSearch
from datachef.policy.space import RandomChooser, RecipeSpace


class RandomSearch(DrawnSearch[None]):
    """Recipes whose every choice is drawn evenly (Bergstra and Bengio 2012,
    https://jmlr.org/papers/v13/bergstra12a.html)."""

    def __init__(self, space: RecipeSpace, seed: int) -> None:
        super().__init__(space, "random")
        self._seed = seed
        self._draws = 0

    def draw(self) -> tuple[dict[str, Any], None]:
        self._draws += 1
        return self.space.draw(RandomChooser(f"{self._seed}/{self._draws}")), None

    def learn(self, origin: None, value: float) -> None:
        """Chance learns nothing."""
