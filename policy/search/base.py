"""The contract of a search, and the loop that spends reward calls on one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from datachef.core.reward import Score
from datachef.policy.objective import Call, Objective, Recipe


class Search(ABC):
    """Proposes recipes, and learns from their scores what to propose next."""

    @abstractmethod
    def ask(self, count: int) -> list[dict[str, Any]]:
        """`count` recipes to score next; fewer, and in the end none, where a search runs out."""

    def tell(self, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:  # noqa: B027 - most do not learn
        """What the reward said of recipes that were asked for; nothing to most that do not learn.

        Recipes may come in any order, each of them once.
        """


def run_search(search: Search, objective: Objective, calls: int, batch: int = 8) -> list[Call]:
    """Spends exactly `calls` reward calls on a search, or fewer if it runs out, and returns them.

    `batch` recipes are asked for and scored at a time. Raises `ValueError` for a batch below 1.
    """
    if batch < 1:
        raise ValueError("a batch holds at least one recipe")
    start = len(objective.calls)
    while left := calls - (len(objective.calls) - start):
        wanted = min(batch, left)
        recipes = search.ask(wanted)[:wanted]
        if not recipes:
            break
        search.tell(recipes, objective.score_all(recipes))
    return objective.calls[start:]
