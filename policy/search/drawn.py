"""What searches of a space have in common: names of recipes, and no call spent on a repeat."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from datachef.core.reward import Score
from datachef.policy.objective import Recipe, recipe_key
from datachef.policy.search.base import Search
from datachef.policy.space import RecipeSpace

# A space that is nearly used up still gets its calls: with recipes that were scored before.
TRIES = 10

Origin = TypeVar("Origin")


class DrawnSearch(Search, Generic[Origin]):
    """Draws recipes of a space, and draws again where a recipe was proposed before.

    `Origin` is what a search has to remember of a draft, to learn from its score.
    """

    def __init__(self, space: RecipeSpace, name: str) -> None:
        """Recipes are named `name` and a number."""
        self.space = space
        self.asked = 0
        self._name = name
        self._seen: set[bytes] = set()
        self._pending: dict[str, Origin] = {}

    @abstractmethod
    def draw(self) -> tuple[dict[str, Any], Origin]:
        """Another draft, and where it comes from."""

    @abstractmethod
    def learn(self, origin: Origin, value: float) -> None:
        """Takes in the value of a draft that was proposed."""

    def ask(self, count: int) -> list[dict[str, Any]]:
        return [self._proposed() for _ in range(count)]

    def tell(self, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:
        """Raises `KeyError` for a recipe that was not asked for, or told before."""
        for recipe, score in zip(recipes, scores, strict=True):
            self.learn(self._pending.pop(recipe["name"]), score.value)

    def _proposed(self) -> dict[str, Any]:
        self.asked += 1
        name = f"{self._name}-{self.asked}"
        for left in reversed(range(TRIES)):
            draft, origin = self.draw()
            recipe = self.space.recipe(draft, name)
            key = recipe_key(recipe)
            if key not in self._seen or not left:
                break
        self._seen.add(key)
        self._pending[name] = origin
        return recipe
