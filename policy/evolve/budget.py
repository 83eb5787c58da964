"""What a run has spent, what the next part of it will take, and whether that is still within its
budget."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from datachef.policy.evolve.run_state import (
    CandidateMeasurement,
    Round,
    RunState,
    evaluations,
    measuring_seconds,
)
from datachef.policy.settings import EvolveSettings


class BudgetTracker:
    """Compares a run with its budget. Its methods return why the run must stop, in words, or an
    empty string if it may continue.

    Time is forecast from what was measured and trained so far. What the forecast does not leave
    time for is not begun; nothing is measured or trained in another way to save time.
    """

    def __init__(self, settings: EvolveSettings, state: RunState) -> None:
        self._settings = settings
        self._state = state
        self._seconds_per_call = 0.0

    def note_calls(self, calls: int, seconds: float) -> None:
        """Learns from reward calls how long a round of training will take."""
        self._seconds_per_call = seconds / calls if calls else 0.0

    def most_first(self) -> int:
        """The number of recipes to measure first, so that one round is left."""
        settings, limit = self._settings, self._settings.budget.evaluations
        if limit is None:
            return settings.measured_first
        left = (limit - settings.reserved) // settings.seeds - settings.measured_per_round
        return min(settings.measured_first, max(left, 1))

    def most_drawn(self, wanted: int) -> int:
        """The number of random recipes to score first, so that one round is left."""
        limit = self._settings.budget.reward_calls
        return wanted if limit is None else max(min(wanted, limit - self._calls_of_round(0)), 0)

    def reason_to_stop_before_round(self, rounds: Sequence[Round]) -> str:
        """Why not to start another round."""
        limit, number = self._settings.budget.reward_calls, rounds[-1].number
        if limit is not None and rounds[-1].calls + self._calls_of_round(number) > limit:
            return f"another round would take more than {limit:,} reward calls"
        if reason := self.reason_to_stop_before_measuring(rounds):
            return reason
        seconds = self._seconds_of_round(rounds)
        if self._left is not None and seconds > self._left:
            return (
                f"another round would take about {_minutes(seconds)}, and {_minutes(self._left)} "
                "are left"
            )
        return ""

    def reason_to_stop_before_measuring(
        self, rounds: Sequence[Round], found: Sequence[CandidateMeasurement] = ()
    ) -> str:
        """Why not to measure another recipe after the rounds and those `found` in the next one;
        the evaluations of the comparison are set aside."""
        budget, seeds = self._settings.budget, self._settings.seeds
        if self._left is not None:
            seconds = self._seconds_per_evaluation(rounds, found) * seeds
            if self._left <= 0:
                return f"the {budget.minutes:g} minutes are over"
            if seconds > self._left:
                return (
                    f"a measurement takes about {_minutes(seconds)}, and {_minutes(self._left)} "
                    "are left"
                )
            first = not rounds and any(one.measured for one in found)
            if first and self._left - seconds < self._seconds_of_round(rounds, found) <= self._left:
                return "the rest of the time is for a round"
        if budget.evaluations is None:
            return ""
        left = budget.evaluations - self._settings.reserved - evaluations(rounds, found)
        if left < seeds:
            return f"the {budget.evaluations:,} evaluations are made, or kept for the comparison"
        return ""

    def forecast(self, rounds: Sequence[Round], found: Sequence[CandidateMeasurement]) -> str:
        """What the rest of the run is going to take; empty before the first measurement."""
        if not (each := self._seconds_per_evaluation(rounds, found)):
            return ""
        settings = self._settings
        first = 0 if rounds else self.most_first() - sum(bool(one.measured) for one in found)
        left = settings.rounds - max(len(rounds) - 1, 0)
        parts = [
            (max(first, 0) * settings.seeds * each, "for the first recipes"),
            (left * self._seconds_of_round(rounds, found), f"for {left} round{'s' * (left != 1)}"),
            (settings.reserved * each, "to compare"),
        ]
        said = ", ".join(f"{_minutes(seconds)} {what}" for seconds, what in parts if seconds)
        return f"an evaluation takes about {_minutes(each)}: {said}"

    @property
    def _left(self) -> float | None:
        """The seconds that are left; None where they are unlimited."""
        minutes = self._settings.budget.minutes
        return None if minutes is None else 60 * minutes - self._state.seconds

    def _calls_of_round(self, before: int) -> int:
        settings = self._settings
        return settings.calls_per_round + (0 if before else settings.cold_calls)

    def _seconds_of_round(
        self, rounds: Sequence[Round], found: Sequence[CandidateMeasurement] = ()
    ) -> float:
        """The next round is expected to train as long as the last one, and the first as long as
        its reward calls take."""
        settings = self._settings
        if len(rounds) > 1:
            spent = rounds[-1].seconds - rounds[-2].seconds
            trained = max(spent - measuring_seconds(rounds[-1].measurements), 0.0)
        else:
            trained = self._calls_of_round(0) * self._seconds_per_call
        each = self._seconds_per_evaluation(rounds, found)
        return trained + settings.measured_per_round * settings.seeds * each

    def _seconds_per_evaluation(
        self, rounds: Sequence[Round], found: Sequence[CandidateMeasurement]
    ) -> float:
        """The mean so far; 0 before the first."""
        measurements = [*found, *(each for one in rounds for each in one.measurements)]
        seconds = [seed.seconds for each in measurements for seed in each.measured]
        return fmean(seconds) if seconds else 0.0


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
