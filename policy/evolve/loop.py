"""The loop of `chef evolve`: rounds within a budget, then the comparison with baselines."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import orjson

from datachef.core.contracts.reward import EvaluationBackend
from datachef.core.system.outputs import OutputFolder, refuse_unmarked
from datachef.policy.evolve.budget import BudgetTracker
from datachef.policy.evolve.rounds import (
    RoundRunner,
    measure_candidate,
    measure_candidates,
    worth_measuring,
)
from datachef.policy.evolve.run_state import (
    CandidateMeasurement,
    EvolveResult,
    MethodResult,
    OnProgress,
    ProgressReporter,
    Round,
    RunState,
    evaluations,
)
from datachef.policy.scored_recipes import (
    RecipeTask,
    ScoredRecipe,
    ScoreTracker,
    read_recipe,
    recipe_key,
    without_paths,
)
from datachef.policy.search import SEARCHES, Search, run_search
from datachef.policy.search.base import ListedSearch
from datachef.policy.settings import (
    EVOLUTION,
    HUMAN,
    POLICY,
    PROXIES,
    RECIPES,
    STATE,
    TRAINING,
    EvolveSettings,
)


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
    while len(rounds) <= settings.rounds:
        _report_round(rounds, settings, progress)
        if reason := budget.reason_to_stop_before_round(rounds):
            ended = reason
            break
        keep(runner.next(rounds))
    _report_round(rounds, settings, progress)
    found = BaselineComparison(settings, recipe_task, backend, state, progress).method_results(
        rounds
    )
    progress.report("done")
    return EvolveResult(tuple(rounds), tuple(found), ended, state.seconds)


def _report_round(
    rounds: Sequence[Round], settings: EvolveSettings, progress: ProgressReporter
) -> None:
    """Reports the progress after the finished rounds."""
    last = rounds[-1]
    scores = [t.score for one in rounds for t in one.measurements if t.measured]
    progress.report(
        f"round {last.number} is done" if last.number else "before the first round",
        round=last.number,
        step=last.step,
        steps=settings.rounds * settings.steps_per_round,
        calls=last.calls,
        evaluations=evaluations(rounds),
        measured=max(scores, default=None),
    )


# Reward calls of a search between two reports of progress; a multiple of a batch.
REPORT_EVERY = 64


class BaselineComparison:
    """Compares the methods after a round. Results that the state has already are not made again."""

    def __init__(
        self,
        settings: EvolveSettings,
        recipe_task: RecipeTask,
        backend: EvaluationBackend,
        state: RunState,
        progress: ProgressReporter,
    ) -> None:
        self._settings = settings
        self._recipe_task = recipe_task
        self._backend = backend
        self._state = state
        self._progress = progress
        self._fresh = range(settings.seeds, settings.seeds + settings.final_seeds)

    def method_results(self, rounds: Sequence[Round]) -> list[MethodResult]:
        """The results of all methods, the policy first; empty if there was no round."""
        last = rounds[-1]
        if last.number == 0:
            return []
        methods = (POLICY, *self._settings.methods)
        names = {
            method: f"{last.number:04d}-{method}-{self._settings_key(method)}" for method in methods
        }
        found = {method: self._state.method_result(name) for method, name in names.items()}
        if None in found.values():
            proxy = last.climbed(self._settings.climb_above)
            reward = self._backend.reward(self._settings.output / proxy if proxy else None)
            try:
                for method in [name for name, known in found.items() if known is None]:
                    tracker = ScoreTracker(reward, self._recipe_task.pool.parent)
                    result = self._method_result(method, tracker, rounds)
                    self._state.add_method_result(names[method], result)
                    found[method] = result
            finally:
                reward.close()
        return [result for result in found.values() if result is not None]

    def _settings_key(self, method: str) -> str:
        """A hash of the settings of the comparison that may change when a run is continued."""
        settings = self._settings
        numbers = [settings.final_seeds, settings.measured_per_baseline if method != POLICY else 0]
        human_recipes = settings.human_recipes if method == HUMAN else ()
        raw = orjson.dumps([numbers, [read_recipe(path) for path in human_recipes]])
        return blake2b(raw, digest_size=4).hexdigest()

    def _method_result(
        self, method: str, tracker: ScoreTracker, rounds: Sequence[Round]
    ) -> MethodResult:
        self._progress.report(f"comparing: {method}")
        last, tried = rounds[-1], list[CandidateMeasurement]()
        if method == POLICY:
            tried = [each for one in rounds for each in one.measurements if each.measured]
            some = [candidate.recipe for one in rounds[1:] for candidate in one.candidates]
            tracker.score_all([*some, *(each.recipe for each in tried)])
        else:
            self._run_search(self._search_of(method), tracker, last.calls, method)
        scored, prefix = tracker.scored, f"{method}-{last.number}"
        if method != POLICY and self._settings.measured_per_baseline > 1:
            tried = self._choose(scored, prefix)
        self._progress.report(f"comparing: {method}, measuring")
        with self._progress.details():
            final = self._final(scored, tried, prefix)
        chosen = (
            {}
            if method == POLICY
            else {measurement.key: len(measurement.measured) for measurement in tried}
        )
        return MethodResult(
            method=method,
            calls=last.calls if method == POLICY else len(scored),
            value=max((each.score.value for each in scored), default=-2.0),
            chosen_among=len({measurement.key for measurement in tried}),
            evaluations=sum(chosen.values()) + (len(final.measured) if final else 0),
            final=final,
        )

    def _run_search(self, search: Search, tracker: ScoreTracker, calls: int, method: str) -> None:
        while left := calls - len(tracker.scored):
            wanted = min(REPORT_EVERY, left)
            if len(run_search(search, tracker, wanted)) < wanted:
                break
            self._progress.report(f"comparing: {method}, {len(tracker.scored)} of {calls} calls")

    def _choose(self, scored: Sequence[ScoredRecipe], prefix: str) -> list[CandidateMeasurement]:
        """Measurements of several recipes of a baseline, to choose one of them."""
        count, seeds = self._settings.measured_per_baseline, range(self._settings.seeds)
        folder, candidates = self._settings.output / RECIPES, worth_measuring(scored, (), count)
        found = measure_candidates(
            self._backend, candidates, folder, f"{prefix}-try", count=count, seeds=seeds
        )
        return [measurement for measurement in found if measurement.measured]

    def _final(
        self, scored: Sequence[ScoredRecipe], tried: Sequence[CandidateMeasurement], prefix: str
    ) -> CandidateMeasurement | None:
        """A measurement with fresh seeds of the best recipe: by the measurements in `tried`, or by
        the proxy if there are none."""
        folder = self._settings.output / RECIPES
        if tried:
            best = max(tried, key=lambda measurement: measurement.score)
            scores = {recipe_key(each.recipe): each.score for each in scored}
            score = scores[recipe_key(best.recipe)]
            file = folder / f"{prefix}.yaml"
            found = [measure_candidate(self._backend, best.recipe, score, file, self._fresh)]
        else:
            candidates = worth_measuring(scored, (), 1)
            found = measure_candidates(
                self._backend, candidates, folder, prefix, count=1, seeds=self._fresh
            )
        return next((measurement for measurement in found if measurement.measured), None)

    def _search_of(self, method: str) -> Search:
        space, seed = self._recipe_task.space, self._settings.train.seed
        if method == HUMAN:
            return ListedSearch(
                without_paths(read_recipe(path)) for path in self._settings.human_recipes
            )
        return SEARCHES[method](space, seed)
