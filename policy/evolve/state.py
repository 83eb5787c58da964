"""How a run stands, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from datachef.policy.evolve.journal import Journal


@dataclass(frozen=True)
class State:
    """What a run is `doing`, in words, and how far it came.

    `mean` and `best` are values of the last step's recipes and of the round's best one; `measured`
    is the best score of a recipe of the policy. `calls`, `evaluations` and `seconds` are spent.
    """

    doing: str
    round: int = 0
    rounds: int = 0
    step: int = 0
    steps: int = 0
    mean: float | None = None
    best: float | None = None
    measured: float | None = None
    calls: int = 0
    evaluations: int = 0
    seconds: float = 0.0


Told = Callable[[State], None]


class Teller:
    """Tells how a run stands whenever something happened, and keeps the time."""

    def __init__(self, journal: Journal, told: Told | None) -> None:
        self._journal = journal
        self._told = told
        self.state = State("starting")

    def tell(self, doing: str, **changes: Any) -> None:
        """Tells what is done now, and what changed."""
        self._journal.tick()
        self.state = replace(self.state, doing=doing, seconds=self._journal.seconds, **changes)
        if self._told is not None:
            self._told(self.state)

    @property
    def seconds(self) -> float:
        """Seconds spent on the run so far."""
        return self._journal.seconds
