"""Whether what a run may spend is spent."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.policy.evolve.journal import Journal
from datachef.policy.evolve.records import Round
from datachef.policy.evolve.settings import EvolveSettings


def evaluations(rounds: Sequence[Round]) -> int:
    """How many trainings of a base model finished rounds took."""
    found = {trial.key: len(trial.measured) for one in rounds for trial in one.trials}
    return sum(found.values())


class Spending:
    """Holds a run against its budget. Answers why it has to stop, in words; empty where it may go
    on."""

    def __init__(self, settings: EvolveSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal

    def before_round(self, rounds: Sequence[Round]) -> str:
        """After some rounds. One whose calls would not be enough is not begun."""
        settings, limit = self._settings, self._settings.budget.reward_calls
        needed = settings.calls_per_round + (0 if rounds[-1].number else settings.cold_calls)
        if limit is not None and rounds[-1].calls + needed > limit:
            return f"another round would take more than {limit:,} reward calls"
        return self.before_measuring(evaluations(rounds))

    def before_measuring(self, made: int) -> str:
        """After so many evaluations; those of the comparison are set aside."""
        budget = self._settings.budget
        if budget.minutes is not None and self._journal.seconds >= 60 * budget.minutes:
            return f"the {budget.minutes:g} minutes are over"
        if budget.evaluations is None:
            return ""
        left = budget.evaluations - self._settings.reserved - made
        if left < self._settings.seeds:
            return f"the {budget.evaluations:,} evaluations are made, or kept for the comparison"
        return ""
