"""The comparison in the end: what the policy found beside what others find with as many calls.

All are held against the last proxy and measured with seeds that chose none of them: the best of
several measurements is partly luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import orjson

from datachef.core.contracts.reward import EvaluationBackend
from datachef.policy.evolve.rounds import trial, trials, worth_measuring
from datachef.policy.evolve.run_state import Contender, Journal, Round, Teller, Trial
from datachef.policy.recipe_task import Assignment
from datachef.policy.scored_recipes import Call, Objective, Recipe, plain_recipe, recipe_key
from datachef.policy.search import SEARCHES, Search, run_search
from datachef.policy.search.base import ListedSearch
from datachef.policy.settings import PERSON, POLICY, RECIPES, EvolveSettings

# Reward calls of a search before it is told how far it came; a multiple of a batch.
TOLD_EVERY = 64


class Contest:
    """Compares methods after a round; what was compared before is read from the journal."""

    def __init__(
        self,
        settings: EvolveSettings,
        assignment: Assignment,
        backend: EvaluationBackend,
        journal: Journal,
        teller: Teller,
    ) -> None:
        self._settings = settings
        self._assignment = assignment
        self._backend = backend
        self._journal = journal
        self._teller = teller
        self._fresh = range(settings.seeds, settings.seeds + settings.final_seeds)

    def contenders(self, rounds: Sequence[Round]) -> list[Contender]:
        """The policy first; nothing where it made no round."""
        last = rounds[-1]
        if last.number == 0:
            return []
        methods = (POLICY, *self._settings.methods)
        names = {method: f"{last.number:04d}-{method}-{self._way(method)}" for method in methods}
        found = {method: self._journal.contender(name) for method, name in names.items()}
        if None in found.values():
            proxy = self._settings.output / last.fitted if last.fitted else None
            reward = self._backend.reward(proxy)
            try:
                for method in [name for name, known in found.items() if known is None]:
                    objective = Objective(reward, self._assignment.pool.parent)
                    contender = self._contender(method, objective, rounds)
                    self._journal.add_contender(names[method], contender)
                    found[method] = contender
            finally:
                reward.close()
        return [contender for contender in found.values() if contender is not None]

    def _way(self, method: str) -> str:
        """What a comparison depends on that may be another one when a run goes on."""
        settings = self._settings
        ways = [settings.final_seeds, settings.measured_per_baseline if method != POLICY else 0]
        persons = settings.persons if method == PERSON else ()
        raw = orjson.dumps([ways, [plain_recipe(path) for path in persons]])
        return blake2b(raw, digest_size=4).hexdigest()

    def _contender(self, method: str, objective: Objective, rounds: Sequence[Round]) -> Contender:
        self._teller.tell(f"comparing: {method}")
        last, tried = rounds[-1], list[Trial]()
        if method == POLICY:
            some = [candidate.recipe for one in rounds[1:] for candidate in one.candidates]
            objective.score_all(some)
            tried = [trial for one in rounds[1:] for trial in one.trials if trial.measured]
        else:
            self._search(self._searching(method), objective, last.calls, method)
        calls, prefix = objective.calls, f"{method}-{last.number}"
        if method != POLICY and self._settings.measured_per_baseline > 1:
            tried = self._choose(calls, prefix)
        self._teller.tell(f"comparing: {method}, measuring")
        final = self._final(calls, tried, prefix)
        chosen = {} if method == POLICY else {trial.key: len(trial.measured) for trial in tried}
        return Contender(
            method=method,
            calls=last.calls if method == POLICY else len(calls),
            value=max((call.score.value for call in calls), default=-2.0),
            chosen_among=len({trial.key for trial in tried}),
            evaluations=sum(chosen.values()) + (len(final.measured) if final else 0),
            final=final,
        )

    def _search(self, search: Search, objective: Objective, calls: int, method: str) -> None:
        while left := calls - len(objective.calls):
            wanted = min(TOLD_EVERY, left)
            if len(run_search(search, objective, wanted)) < wanted:
                break
            self._teller.tell(f"comparing: {method}, {len(objective.calls)} of {calls} calls")

    def _choose(self, calls: Sequence[Call], prefix: str) -> list[Trial]:
        """Several recipes of a baseline, measured as those of the policy were."""
        count, seeds = self._settings.measured_per_baseline, range(self._settings.seeds)
        folder, candidates = self._settings.output / RECIPES, worth_measuring(calls, (), count)
        found = trials(self._backend, candidates, folder, f"{prefix}-try", count=count, seeds=seeds)
        return [trial for trial in found if trial.measured]

    def _final(self, calls: Sequence[Call], tried: Sequence[Trial], prefix: str) -> Trial | None:
        """The best of what was tried, or else of what the proxy thinks, with fresh seeds."""
        folder = self._settings.output / RECIPES
        if tried:
            best = max(tried, key=lambda trial: trial.score)
            values = {recipe_key(call.recipe): call.score.value for call in calls}
            value = values[recipe_key(best.recipe)]
            file = folder / f"{prefix}.yaml"
            found = [trial(self._backend, best.recipe, value, file, self._fresh)]
        else:
            candidates = worth_measuring(calls, (), 1)
            found = trials(self._backend, candidates, folder, prefix, count=1, seeds=self._fresh)
        return next((trial for trial in found if trial.measured), None)

    def _searching(self, method: str) -> Search:
        space, seed = self._assignment.space, self._settings.train.seed
        if method == PERSON:
            return ListedSearch(_unbound(plain_recipe(path)) for path in self._settings.persons)
        return SEARCHES[method](space, seed)


def _unbound(recipe: Recipe) -> dict[str, Any]:
    """A recipe for whatever task and pool it is measured with."""
    return {name: value for name, value in recipe.items() if name not in ("task", "pool")}
