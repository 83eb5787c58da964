"""A search that only goes through a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datachef.policy.search.base import Search


class ListedSearch(Search):
    """Proposes given recipes in their order, each once."""

    def __init__(self, recipes: Iterable[dict[str, Any]]) -> None:
        self._left = list(recipes)

    def ask(self, count: int) -> list[dict[str, Any]]:
        asked, self._left = self._left[:count], self._left[count:]
        return asked
