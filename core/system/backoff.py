"""How long to wait between looks at what somebody else does."""

from __future__ import annotations


class Backoff:
    """Delays from `first` to `longest` seconds, each twice as long as the last."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = self._next = first
        self._longest = longest

    def next_delay(self) -> float:
        """The seconds to wait now."""
        seconds = self._next
        self._next = min(2 * seconds, self._longest)
        return seconds

    def reset(self) -> None:
        """Begins with the first delay again: something has happened."""
        self._next = self._first
