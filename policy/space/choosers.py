"""Those who choose: chance, and a trace of choices that were made before."""

from __future__ import annotations

import random
from collections.abc import Mapping


class RandomChooser:
    """Draws every choice evenly, apart from those that `known` has made; `trace` has all of them,
    so that a draft can be drawn again, or again but for some of its choices."""

    def __init__(self, seed: int | str, known: Mapping[str, int] | None = None) -> None:
        self._random = random.Random(seed)
        self._known = known or {}
        self.trace: dict[str, int] = {}

    def choose(self, place: str, count: int) -> int:
        known = self._known.get(place, count)
        chosen = known if known < count else self._random.randrange(count)
        self.trace[place] = chosen
        return chosen
