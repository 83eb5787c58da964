"""How long to wait between looks at what somebody else does."""

from __future__ import annotations


class Pauses:
    """Seconds from `first` to `longest`, each time twice as many."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = self._next = first
        self._longest = longest

    def next(self) -> float:
        """The seconds to wait now."""
        seconds = self._next
        self._next = min(2 * seconds, self._longest)
        return seconds

    def restart(self) -> None:
        """Begins with the first pause again, for something has happened."""
        self._next = self._first
