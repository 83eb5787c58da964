"""One round of the loop: train, select the best recipes, measure them, refit the proxy."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datachef.core import document
from datachef.core.contracts.reward import EvaluationBackend, Score, unavailable
from datachef.core.errors import DatachefError
from datachef.core.system.atomic import write_atomically
from datachef.policy.decoding.local import LocalDecoder
from datachef.policy.evolve.budget import BudgetTracker
from datachef.policy.evolve.run_state import (
    Candidate,
    CandidateMeasurement,
    ProgressReporter,
    Round,
    SeedMeasurement,
    evaluations,
)
from datachef.policy.scored_recipes import (
    Recipe,
    RecipeTask,
    ScoredRecipe,
    ScoreTracker,
    best_different,
    read_recipe,
    recipe_key,
    without_paths,
)
from datachef.policy.search.first_recipes import first_recipes
from datachef.policy.settings import (
    PROXIES,
    RANDOM_PER_MEASURED,
    RECIPES,
    EvolveSettings,
    TrainSettings,
)
from datachef.policy.training.cold_start import FOLDER, cold_start
from datachef.policy.training.log import LoggedRecipe, read_log
from datachef.policy.training.train import train

# Spare candidates for each recipe to measure, since some cannot be measured.
SPARE = 3


def logged_recipes(rows: Sequence[LoggedRecipe], start: int, end: int) -> list[ScoredRecipe]:
    """The recipes that training scored, from step `start` until before `end`."""
    some = [row for row in rows if start <= row.step < end]
    return [ScoredRecipe(row.recipe, row.score) for row in some]


def worth_measuring(
    scored: Sequence[ScoredRecipe], known: Collection[bytes], count: int
) -> list[ScoredRecipe]:
    """The `count` best different recipes that passed all gates and whose keys are not `known`,
    followed by spare ones; both parts have the best first."""
    fit = [each for each in scored if not each.score.gate and recipe_key(each.recipe) not in known]
    first = best_different(fit, count)
    taken = {recipe_key(each.recipe) for each in first}
    rest = [each for each in fit if recipe_key(each.recipe) not in taken]
    return first + best_different(rest, SPARE * count)


def sample_policy(
    checkpoint: Path, recipe_task: RecipeTask, settings: TrainSettings, seed: int, count: int
) -> list[dict[str, Any]]:
    """Recipes that a policy writes for the whole space; the same for the same seed."""
    if not count:
        return []
    gc.collect()  # frees the trainer, whose parts refer to one another
    decoder = LocalDecoder.of(checkpoint, settings.batch)
    prompt = recipe_task.prompt(decoder.count_tokens, settings.prompt_tokens)
    drafts = decoder.sample([prompt] * count, temperature=settings.temperature, seed=seed)
    return [recipe_task.space.recipe(draft, f"sampled-{n}") for n, draft in enumerate(drafts)]


def measure_candidate(
    backend: EvaluationBackend, recipe: Recipe, score: Score, file: Path, seeds: Sequence[int]
) -> CandidateMeasurement:
    """Measures a recipe, which gets the name of its file; the result may be why it cannot be.

    Raises a `DatachefError` for which `unavailable` holds: the recipe is not to blame.
    """
    named = {**recipe, "name": file.stem}
    write_atomically(file, document.dump(named).encode())
    try:
        found = backend.measure(file, seeds)
    except DatachefError as error:
        if unavailable(error):
            raise
        return CandidateMeasurement(recipe=named, **_said(score), failure=str(error))
    measured = tuple(map(SeedMeasurement.of, found))
    return CandidateMeasurement(
        recipe=named, **_said(score), key=found[0].recipe_key, measured=measured
    )


def _said(score: Score) -> dict[str, Any]:
    """What a candidate keeps of its score."""
    return {"value": score.value, "predicted": score.predicted, "interval": score.interval}


def measure_candidates(
    backend: EvaluationBackend,
    candidates: Iterable[ScoredRecipe],
    folder: Path,
    prefix: str,
    *,
    count: int,
    seeds: Sequence[int],
    known: Collection[str] = (),
    by_name: bool = False,
    goes_on: Callable[[str, Sequence[CandidateMeasurement]], bool] = lambda name, found: True,
) -> list[CandidateMeasurement]:
    """Measures candidates in their order until there are `count` measurements of different corpora,
    not counting those with a key in `known`.

    The recipe files in `folder` are named `prefix` and a number, or the recipe's own name. Before
    each one `goes_on` is called with its name and what was found so far; False ends the measuring.
    """
    found: list[CandidateMeasurement] = []
    for number, candidate in enumerate(candidates, start=1):
        new = len({one.key for one in found if one.measured} - set(known))
        name = f"{prefix}-{candidate.recipe['name'] if by_name else number}"[:100]
        if new == count or not goes_on(name, found):
            break
        file = folder / f"{name}.yaml"
        found.append(measure_candidate(backend, candidate.recipe, candidate.score, file, seeds))
    return found


class RoundRunner:
    """Runs the rounds. An unfinished one is done again, with the same result."""

    def __init__(
        self,
        settings: EvolveSettings,
        recipe_task: RecipeTask,
        backend: EvaluationBackend,
        model: str | Path,
        budget: BudgetTracker,
        progress: ProgressReporter,
    ) -> None:
        self._settings = settings
        self._recipe_task = recipe_task
        self._backend = backend
        self._model = model
        self._budget = budget
        self._progress = progress

    def initial(self) -> Round:
        """Round 0: measures what people try first, and fits a first proxy."""
        count, settings = self._budget.most_first(), self._settings
        if not count:
            return self._finished(0, 0, 0, "", "", [], [])
        human = [without_paths(read_recipe(path)) for path in settings.human_recipes]
        with self._tracker("") as tracker:
            self._progress.report("scoring what people try first")
            began, wanted = self._progress.seconds, RANDOM_PER_MEASURED * count
            drawn, seed = self._budget.most_drawn(wanted), self._seed(0)
            first = list(first_recipes(self._recipe_task.space, tracker, human, drawn, seed))
            self._budget.note_calls(len(tracker.scored), self._progress.seconds - began)
            scored = len(tracker.scored)
        found = self._measured(first, [], count)
        return self._finished(0, 0, scored, "", "", [], found)

    def next(self, rounds: Sequence[Round]) -> Round:
        """The round after these. Raises `DatachefError` if none of its recipes can be measured."""
        before, number, count = rounds[-1], len(rounds), self._settings.measured_per_round
        end = number * self._settings.steps_per_round
        proxy = before.climbed(self._settings.climb_above)
        with self._tracker(proxy) as tracker:
            checkpoint = self._trained(tracker, before, number, end)
            output = self._settings.train.output
            scored = logged_recipes(read_log(output / FOLDER), 0, 1) if number == 1 else []
            scored += logged_recipes(read_log(output), before.step, end)
            scored += self._sampled(checkpoint, tracker, number)
        spent = before.calls + len(scored)
        known = {
            recipe_key(measurement.recipe) for one in rounds for measurement in one.measurements
        }
        candidates = worth_measuring(scored, known, count)
        found = self._measured(candidates, rounds, count)
        return self._finished(number, end, spent, before.fitted, proxy, candidates, found)

    def _trained(self, tracker: ScoreTracker, before: Round, number: int, end: int) -> Path:
        settings = self._settings.train
        self._progress.report("training", round=number, mean=None, best=None)
        policy = cold_start(settings, [self._recipe_task], [tracker], self._model)
        first = len(tracker.scored)

        def stepped(step: int, mean: float) -> None:
            best = max((each.score.value for each in tracker.scored[first:]), default=None)
            spent = before.calls + (step - before.step) * settings.recipes_per_step
            self._progress.report("training", step=step, mean=mean, best=best, calls=spent)

        return train(
            settings, [self._recipe_task], [tracker], policy, steps=end, on_progress=stepped
        )

    def _sampled(self, checkpoint: Path, tracker: ScoreTracker, number: int) -> list[ScoredRecipe]:
        self._progress.report("sampling the policy")
        count = self._settings.samples_per_round
        recipes = sample_policy(
            checkpoint, self._recipe_task, self._settings.train, self._seed(number), count
        )
        scores = tracker.score_all(recipes)
        return [ScoredRecipe(recipe, score) for recipe, score in zip(recipes, scores, strict=True)]

    def _measured(
        self, candidates: Sequence[ScoredRecipe], rounds: Sequence[Round], count: int
    ) -> list[CandidateMeasurement]:
        number = len(rounds)

        def goes_on(name: str, found: Sequence[CandidateMeasurement]) -> bool:
            forecast = self._budget.forecast(rounds, found)
            made = evaluations(rounds, found)
            self._progress.report(f"measuring {name}", evaluations=made, forecast=forecast)
            return not self._budget.reason_to_stop_before_measuring(rounds, found)

        with self._progress.details():
            found = measure_candidates(
                self._backend,
                candidates,
                self._settings.output / RECIPES,
                f"round-{number}" if rounds else "first",
                by_name=not rounds,
                count=count,
                seeds=range(self._settings.seeds),
                known={measurement.key for one in rounds for measurement in one.measurements},
                goes_on=goes_on,
            )
        if found and not any(measurement.measured for measurement in found):
            raise DatachefError(
                f"no recipe of round {number} can be measured; the last: {found[-1].failure}",
                "fix the cause and run the same command to continue",
            )
        return found

    def _finished(
        self,
        number: int,
        step: int,
        spent: int,
        last: str,
        proxy: str,
        candidates: Sequence[ScoredRecipe],
        found: Sequence[CandidateMeasurement],
    ) -> Round:
        self._progress.report("fitting the proxy")
        output = self._settings.output
        target = output / PROXIES / f"round-{number:04d}.json"
        fitted = self._backend.refit(target, output / last if last else None)
        self._progress.report("estimating how far to trust the proxy")
        fidelity = self._backend.fidelity(fitted) if fitted is not None else None
        return Round(
            number=number,
            step=step,
            calls=spent,
            seconds=self._progress.seconds,
            proxy=proxy,
            candidates=tuple(
                Candidate(recipe=dict(each.recipe), **_said(each.score)) for each in candidates
            ),
            measurements=tuple(found),
            fitted=fitted.relative_to(output).as_posix() if fitted is not None else "",
            fidelity=fidelity,
        )

    @contextmanager
    def _tracker(self, proxy: str) -> Iterator[ScoreTracker]:
        """A tracker of the reward with a proxy, which is named by its file in the output."""
        reward = self._backend.reward(self._settings.output / proxy if proxy else None)
        try:
            yield ScoreTracker(reward, self._recipe_task.pool.parent)
        finally:
            reward.close()

    def _seed(self, number: int) -> int:
        """A seed for each round, which no run with another seed uses."""
        return self._settings.train.seed * 1_000_003 + number
