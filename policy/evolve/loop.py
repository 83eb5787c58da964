"""The loop of `chef evolve`: rounds within a budget, then the comparison with baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datachef.core.contracts.reward import EvaluationBackend, ProxyFidelity
from datachef.core.system.outputs import OutputFolder, refuse_unmarked
from datachef.policy.evolve.comparison import BaselineComparison
from datachef.policy.evolve.rounds import RoundRunner
from datachef.policy.evolve.run_state import (
    BudgetTracker,
    FidelityRecord,
    MethodResult,
    OnProgress,
    ProgressReporter,
    Round,
    RunState,
    evaluations,
)
from datachef.policy.recipe_task import RecipeTask
from datachef.policy.settings import EVOLUTION, PROXIES, RECIPES, STATE, EvolveSettings
from datachef.policy.training.train import TRAINING


@dataclass(frozen=True)
class EvolveResult:
    """The result of a run: its rounds, from number 0; the results of all methods, the policy first;
    how far to trust the proxy `before` the first and `after` the last round; why the run ended, and
    the seconds it took over all restarts."""

    rounds: tuple[Round, ...]
    method_results: tuple[MethodResult, ...]
    before: ProxyFidelity | None
    after: ProxyFidelity | None
    ended: str
    seconds: float


def evolve(
    settings: EvolveSettings,
    recipe_task: RecipeTask,
    backend: EvaluationBackend,
    model: str | Path,
    on_progress: OnProgress | None = None,
) -> EvolveResult:
    """Runs all rounds, or until the budget is spent, and compares the policy with its baselines.

    `settings` has absolute paths; `model` is the initial policy, a folder or a model id on the
    Hugging Face Hub. Killed at any time and called again with the same arguments it continues, and
    ends as if it had not been killed. Raises `DatachefError` if the output contains a run with
    other settings or something else, and if no recipe of a round can be measured.
    """
    output = OutputFolder.open(settings.output, EVOLUTION)
    output.claim(*(f"{name}/" for name in (STATE, RECIPES, PROXIES)))
    refuse_unmarked(settings.train.output, TRAINING)
    state = RunState(settings.output / STATE)
    state.open(settings, recipe_task.space.fingerprint)
    progress, budget = ProgressReporter(state, on_progress), BudgetTracker(settings, state)
    runner = RoundRunner(settings, recipe_task, backend, model, budget, progress)
    rounds, ended = state.rounds(), f"all {settings.rounds} rounds are done"

    def keep(finished: Round) -> None:
        state.add(finished)
        rounds.append(finished)

    progress.report("continuing" if rounds else "starting", rounds=settings.rounds)
    if not rounds:
        keep(runner.initial())
    before = _fidelity(0, state, backend, progress)
    while len(rounds) <= settings.rounds:
        _report_round(rounds, settings, progress)
        if reason := budget.reason_to_stop_before_round(rounds):
            ended = reason
            break
        keep(runner.next(rounds))
    _report_round(rounds, settings, progress)
    after = _fidelity(rounds[-1].number, state, backend, progress)
    found = BaselineComparison(settings, recipe_task, backend, state, progress).method_results(
        rounds
    )
    progress.report("done")
    return EvolveResult(tuple(rounds), tuple(found), before, after, ended, state.seconds)


def _fidelity(
    after: int, state: RunState, backend: EvaluationBackend, progress: ProgressReporter
) -> ProxyFidelity | None:
    """How far to trust the proxy after a round, estimated before anything else is measured."""
    known = state.fidelity(after)
    if known is None:
        progress.report("estimating how far to trust the proxy")
        known = FidelityRecord(fidelity=backend.fidelity())
        state.add_fidelity(after, known)
    return known.fidelity


def _report_round(
    rounds: Sequence[Round], settings: EvolveSettings, progress: ProgressReporter
) -> None:
    """Reports the progress after the finished rounds."""
    last = rounds[-1]
    scores = [t.score for one in rounds[1:] for t in one.measurements if t.measured]
    progress.report(
        f"round {last.number} is done" if last.number else "before the first round",
        round=last.number,
        step=last.step,
        steps=settings.rounds * settings.steps_per_round,
        calls=last.calls,
        evaluations=evaluations(rounds),
        measured=max(scores, default=None),
    )
