"""What a run forecasts, and what it leaves out to stay within its budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic_evolution import SyntheticBackend, run, settings_of, write_inputs

from datachef.policy.evolve.budget import BudgetTracker
from datachef.policy.evolve.run_state import CandidateMeasurement, RunState, SeedMeasurement


def measured(seconds: float, count: int) -> list[CandidateMeasurement]:
    seed = SeedMeasurement(seed=0, score=0.5, scores={}, seconds=seconds)
    return [
        CandidateMeasurement(recipe={}, value=0.0, key=f"k{number}", measured=(seed,))
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("minutes", "stops_after"),
    # A round takes 24 calls of 1 s and two measurements of 60 s: 2.4 minutes.
    [(12, 9), (4, 1), (3, 2), (1.5, 1)],
)
def test_first_measurements_leave_time_for_a_round(
    tmp_path: Path, minutes: float, stops_after: int
) -> None:
    settings = settings_of(tmp_path, "out", budget={"minutes": minutes}, measured_first=20)
    state = RunState(tmp_path / "state")
    budget = BudgetTracker(settings, state)
    budget.note_calls(10, 10.0)
    found: list[CandidateMeasurement] = []
    while not (reason := budget.reason_to_stop_before_measuring((), found)):
        found += measured(60.0, 1)
        state._before = 60.0 * len(found)
    assert len(found) == stops_after
    # Where no round fits, all the time goes into what people try first.
    assert ("for a round" in reason) == (minutes > 3)


def test_a_run_within_minutes_measures_and_does_not_begin_what_it_cannot_end(
    tmp_path: Path,
) -> None:
    write_inputs(tmp_path)
    told: list[Any] = []
    changes = {"budget": {"minutes": 2}, "measured_first": 4, "rounds": 3, "baselines": ()}
    backend = SyntheticBackend(tmp_path / "history", told=100.0)
    result, _ = run(tmp_path, "out", backend, told.append, **changes)
    # Nothing has really taken that long: the time is there for one measurement after another.
    assert [len(one.measurements) for one in result.rounds] == [4]
    assert result.ended.startswith("another round would take about 3.3 min, and ")
    assert any("an evaluation takes about 1.7 min" in each.forecast for each in told)


def test_fewer_are_measured_first_where_evaluations_are_few(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "out", budget={"evaluations": 12}, measured_first=8)
    # 6 are kept for the comparison, 2 for a round.
    assert BudgetTracker(settings, RunState(tmp_path / "state")).most_first() == 4
