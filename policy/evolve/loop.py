"""The loop: propose, score, update; measure the best few; refit the proxy; go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datachef.core.contracts.reward import EvaluationBackend, ProxyFidelity
from datachef.core.system.outputs import OutputFolder, refuse_unmarked
from datachef.policy.evolve.comparison import Contest
from datachef.policy.evolve.rounds import Rounds
from datachef.policy.evolve.run_state import (
    Contender,
    Journal,
    Round,
    Spending,
    Teller,
    Told,
    Trust,
    evaluations,
)
from datachef.policy.recipe_task import Assignment
from datachef.policy.settings import EVOLUTION, JOURNAL, PROXIES, RECIPES, EvolveSettings
from datachef.policy.training.train import TRAINING


@dataclass(frozen=True)
class Result:
    """What came of a run: its rounds with number 0 before them, what the methods found with the
    policy first, how far to trust the proxy `before` the first and `after` the last round, why it
    ended, and the seconds it took over all restarts."""

    rounds: tuple[Round, ...]
    contenders: tuple[Contender, ...]
    before: ProxyFidelity | None
    after: ProxyFidelity | None
    ended: str
    seconds: float


def evolve(
    settings: EvolveSettings,
    assignment: Assignment,
    backend: EvaluationBackend,
    model: str | Path,
    told: Told | None = None,
) -> Result:
    """Runs until all rounds are done or the budget is spent, and compares what came of it.

    `settings` are located; `model` is where the policy begins, a folder or a name of the hub.
    Killed at any moment and called again with the same arguments it goes on, and ends as if it had
    never been killed. Raises `DatachefError` where the output holds a run with other settings, or
    what is not of a run, and where nothing of a round can be measured.
    """
    output = OutputFolder.open(settings.output, EVOLUTION)
    output.claim(*(f"{name}/" for name in (JOURNAL, RECIPES, PROXIES)))
    refuse_unmarked(settings.train.output, TRAINING)
    journal = Journal(settings.output / JOURNAL)
    journal.open(settings, assignment.space.fingerprint)
    teller, spending = Teller(journal, told), Spending(settings, journal)
    making = Rounds(settings, assignment, backend, model, spending, teller)
    rounds, ended = journal.rounds(), f"all {settings.rounds} rounds are done"

    def keep(finished: Round) -> None:
        journal.add(finished)
        rounds.append(finished)

    teller.tell("going on" if rounds else "starting", rounds=settings.rounds)
    if not rounds:
        keep(making.beginning())
    before = _trusted(0, journal, backend, teller)
    while len(rounds) <= settings.rounds:
        _recall(rounds, settings, teller)
        if reason := spending.before_round(rounds):
            ended = reason
            break
        keep(making.next(rounds))
    _recall(rounds, settings, teller)
    after = _trusted(rounds[-1].number, journal, backend, teller)
    found = Contest(settings, assignment, backend, journal, teller).contenders(rounds)
    teller.tell("done")
    return Result(tuple(rounds), tuple(found), before, after, ended, journal.seconds)


def _trusted(
    after: int, journal: Journal, backend: EvaluationBackend, teller: Teller
) -> ProxyFidelity | None:
    """How far to trust the proxy after a round: found out before anything else is measured."""
    known = journal.trust(after)
    if known is None:
        teller.tell("finding out how far to trust the proxy")
        known = Trust(fidelity=backend.fidelity())
        journal.add_trust(after, known)
    return known.fidelity


def _recall(rounds: Sequence[Round], settings: EvolveSettings, teller: Teller) -> None:
    """Tells how a run stands after its finished rounds."""
    last = rounds[-1]
    scores = [t.score for one in rounds[1:] for t in one.trials if t.measured]
    teller.tell(
        f"round {last.number} is done" if last.number else "before the first round",
        round=last.number,
        step=last.step,
        steps=settings.rounds * settings.steps_per_round,
        calls=last.calls,
        evaluations=evaluations(rounds),
        measured=max(scores, default=None),
    )
