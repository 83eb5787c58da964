"""Which recipes of a round are worth a true measurement."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datachef.core import document
from datachef.core.contracts.reward import EvaluationBackend, Score
from datachef.core.contracts.unavailable import unavailable
from datachef.core.errors import DatachefError
from datachef.core.system.atomic import write_atomically
from datachef.policy.decoding.local import LocalDecoder
from datachef.policy.evolve.run_state import (
    Candidate,
    Round,
    Seeded,
    Spending,
    Teller,
    Trial,
    evaluations,
)
from datachef.policy.recipe_task import Assignment
from datachef.policy.scored_recipes import (
    Call,
    Objective,
    Recipe,
    best_different,
    firsts,
    recipe_key,
)
from datachef.policy.settings import DRAWN, PROXIES, RECIPES, EvolveSettings, TrainSettings
from datachef.policy.space import RandomChooser
from datachef.policy.training.cold_start import FOLDER, cold_start
from datachef.policy.training.environment import Logged, read_log
from datachef.policy.training.train import train

# For each recipe to measure so many more, in case that some cannot be.
SPARE = 3


def logged(rows: Sequence[Logged], start: int, end: int) -> list[Call]:
    """What training asked of the reward from one step until before another."""
    some = [row for row in rows if start <= row.step < end]
    return [Call(row.recipe, Score(row.value, gate=row.gate)) for row in some]


def worth_measuring(calls: Sequence[Call], known: Collection[bytes], count: int) -> list[Call]:
    """The `count` best different recipes that passed all gates and are not `known` by their key,
    and after them some more, each part with the best first."""
    fit = [c for c in calls if not c.score.gate and recipe_key(c.recipe) not in known]
    first = best_different(fit, count)
    taken = {recipe_key(call.recipe) for call in first}
    rest = [call for call in fit if recipe_key(call.recipe) not in taken]
    return first + best_different(rest, SPARE * count)


def passing(calls: Sequence[Call]) -> list[Call]:
    """The calls that passed all gates, each recipe once, in their order."""
    once = firsts((recipe_key(call.recipe), call) for call in calls)
    return [call for call in once if not call.score.gate]


def drawn(assignment: Assignment, seed: int, count: int) -> list[dict[str, Any]]:
    """Recipes whose every choice is drawn evenly."""
    space = assignment.space
    choosers = [RandomChooser(f"evolve {seed} {number}") for number in range(count)]
    return [space.recipe(space.draw(each), f"drawn-{n}") for n, each in enumerate(choosers)]


def sampled(
    checkpoint: Path, assignment: Assignment, settings: TrainSettings, seed: int, count: int
) -> list[dict[str, Any]]:
    """Recipes that a policy writes when it is asked for the whole space; the same every time."""
    if not count:
        return []
    gc.collect()  # the trainer's parts refer to one another
    decoder = LocalDecoder.of(checkpoint, settings.batch)
    brief = assignment.brief(decoder.count_tokens, settings.prompt_tokens)
    drafts = decoder.sample([brief] * count, temperature=settings.temperature, seed=seed)
    return [assignment.space.recipe(draft, f"sampled-{n}") for n, draft in enumerate(drafts)]


def trial(
    backend: EvaluationBackend, recipe: Recipe, value: float, file: Path, seeds: Sequence[int]
) -> Trial:
    """The measurements of a recipe, which gets the name of its file; or why there are none.

    Raises the `DatachefError` that says nothing of the recipe, as `unavailable` has it.
    """
    named = {**recipe, "name": file.stem}
    write_atomically(file, document.dump(named).encode())
    try:
        found = backend.measure(file, seeds)
    except DatachefError as error:
        if unavailable(error):
            raise
        return Trial(recipe=named, value=value, failure=str(error))
    measured = [Seeded(seed=m.seed, score=m.score, scores=dict(m.scores)) for m in found]
    return Trial(recipe=named, value=value, key=found[0].recipe_key, measured=tuple(measured))


def trials(
    backend: EvaluationBackend,
    candidates: Iterable[Call],
    folder: Path,
    prefix: str,
    *,
    count: int,
    seeds: Sequence[int],
    known: Collection[str] = (),
    goes_on: Callable[[str, int], bool] = lambda name, made: True,
) -> list[Trial]:
    """Measures candidates in their order until `count` of them were, not counting those that make
    the same corpus as another, or as one of `known` by its key.

    Their files in `folder` are named `prefix` and a number. Before each one `goes_on` is asked,
    with its name and the evaluations made so far.
    """
    found: list[Trial] = []
    for number, call in enumerate(candidates, start=1):
        new = len({one.key for one in found if one.measured} - set(known))
        name = f"{prefix}-{number}"
        if new == count or not goes_on(name, new * len(seeds)):
            break
        file = folder / f"{name}.yaml"
        found.append(trial(backend, call.recipe, call.score.value, file, seeds))
    return found


class Rounds:
    """Makes rounds. What was begun and not finished is done again, and comes out the same."""

    def __init__(
        self,
        settings: EvolveSettings,
        assignment: Assignment,
        backend: EvaluationBackend,
        model: str | Path,
        spending: Spending,
        teller: Teller,
    ) -> None:
        self._settings = settings
        self._assignment = assignment
        self._backend = backend
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
            self._backend,
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
        learned = self._backend.refit(self._settings.output / fitted)
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
        reward = self._backend.reward(self._settings.output / proxy if proxy else None)
        try:
            yield Objective(reward, self._assignment.pool.parent)
        finally:
            reward.close()

    def _seed(self, number: int) -> int:
        """One for each round; runs of other seeds share none."""
        return self._settings.train.seed * 1_000_003 + number
