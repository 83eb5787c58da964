"""One round after the other: each trains, measures the best few recipes, and refits the proxy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datachef.core.errors import DatachefError
from datachef.policy.assignment import Assignment
from datachef.policy.evolve.candidates import drawn, logged, passing, sampled, worth_measuring
from datachef.policy.evolve.laboratory import Laboratory
from datachef.policy.evolve.measuring import trials
from datachef.policy.evolve.records import Candidate, Round, Trial
from datachef.policy.evolve.settings import DRAWN, PROXIES, RECIPES, EvolveSettings
from datachef.policy.evolve.spending import Spending, evaluations
from datachef.policy.evolve.state import Teller
from datachef.policy.objective import Call, Objective, recipe_key
from datachef.policy.training.cold_start import FOLDER, cold_start
from datachef.policy.training.log import read_log
from datachef.policy.training.train import train


class Rounds:
    """Makes rounds. What was begun and not finished is done again, and comes out the same."""

    def __init__(
        self,
        settings: EvolveSettings,
        assignment: Assignment,
        laboratory: Laboratory,
        model: str | Path,
        spending: Spending,
        teller: Teller,
    ) -> None:
        self._settings = settings
        self._assignment = assignment
        self._laboratory = laboratory
        self._model = model
        self._spending = spending
        self._teller = teller

    def beginning(self) -> Round:
        """Number 0: random recipes where they are asked for, and a proxy of all that is known."""
        calls: list[Call] = []
        if count := self._settings.measured_first:
            with self._objective("") as objective:
                objective.score_all(drawn(self._assignment, self._seed(0), DRAWN * count))
                calls = objective.calls
        fit = passing(calls)
        found = self._measured(fit, [], self._settings.measured_first)
        return self._finished(0, 0, len(calls), "", [], found)

    def next(self, rounds: Sequence[Round]) -> Round:
        """The round after those. Raises `DatachefError` where no recipe of it can be measured."""
        before, number, count = rounds[-1], len(rounds), self._settings.measured_per_round
        end = number * self._settings.steps_per_round
        with self._objective(before.fitted) as objective:
            checkpoint = self._trained(objective, before, number, end)
            output = self._settings.train.output
            asked = logged(read_log(output / FOLDER), 0, 1) if number == 1 else []
            asked += logged(read_log(output), before.step, end)
            asked += self._sampled(checkpoint, objective, number)
        spent = before.calls + len(asked)
        known = {recipe_key(trial.recipe) for one in rounds for trial in one.trials}
        calls = worth_measuring(asked, known, count)
        found = self._measured(calls, rounds, count)
        return self._finished(number, end, spent, before.fitted, calls, found)

    def _trained(self, objective: Objective, before: Round, number: int, end: int) -> Path:
        settings = self._settings.train
        self._teller.tell("training", round=number, mean=None, best=None)
        policy = cold_start(settings, [self._assignment], [objective], self._model)
        first = len(objective.calls)

        def stepped(step: int, mean: float) -> None:
            best = max((call.score.value for call in objective.calls[first:]), default=None)
            spent = before.calls + (step - before.step) * settings.recipes_per_step
            self._teller.tell("training", step=step, mean=mean, best=best, calls=spent)

        return train(settings, [self._assignment], [objective], policy, steps=end, told=stepped)

    def _sampled(self, checkpoint: Path, objective: Objective, number: int) -> list[Call]:
        self._teller.tell("asking the policy")
        count = self._settings.samples_per_round
        recipes = sampled(
            checkpoint, self._assignment, self._settings.train, self._seed(number), count
        )
        scores = objective.score_all(recipes)
        return [Call(recipe, score) for recipe, score in zip(recipes, scores, strict=True)]

    def _measured(self, calls: Sequence[Call], rounds: Sequence[Round], count: int) -> list[Trial]:
        number, made = len(rounds), evaluations(rounds)

        def goes_on(name: str, more: int) -> bool:
            self._teller.tell(f"measuring {name}", evaluations=made + more)
            return not self._spending.before_measuring(made + more)

        found = trials(
            self._laboratory,
            calls,
            self._settings.output / RECIPES,
            f"round-{number}",
            count=count,
            seeds=range(self._settings.seeds),
            known={trial.key for one in rounds for trial in one.trials},
            goes_on=goes_on,
        )
        if found and not any(trial.measured for trial in found):
            raise DatachefError(
                f"no recipe of round {number} can be measured; the last: {found[-1].failure}",
                "when that is put right, the same command goes on",
            )
        return found

    def _finished(
        self,
        number: int,
        step: int,
        spent: int,
        proxy: str,
        calls: Sequence[Call],
        found: Sequence[Trial],
    ) -> Round:
        self._teller.tell("fitting the proxy")
        fitted = f"{PROXIES}/round-{number:04d}.json"
        learned = self._laboratory.refit(self._settings.output / fitted)
        return Round(
            number=number,
            step=step,
            calls=spent,
            seconds=self._teller.seconds,
            proxy=proxy,
            candidates=tuple(
                Candidate(recipe=dict(call.recipe), value=call.score.value) for call in calls
            ),
            trials=tuple(found),
            fitted=fitted if learned else proxy,
        )

    @contextmanager
    def _objective(self, proxy: str) -> Iterator[Objective]:
        """The reward with a proxy, by its name in the output."""
        reward = self._laboratory.reward(self._settings.output / proxy if proxy else None)
        try:
            yield Objective(reward, self._assignment.pool.parent)
        finally:
            reward.close()

    def _seed(self, number: int) -> int:
        """One for each round; runs of other seeds share none."""
        return self._settings.train.seed * 1_000_003 + number
