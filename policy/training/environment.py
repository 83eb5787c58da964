"""What reinforcement learning runs on: the prompts and the reward function.

A policy that always sees the same operators and sources memorizes them. Prompts over random parts
of the space teach it to read its prompt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import orjson

from datachef.core.contracts.reward import Score
from datachef.core.contracts.task import Budget
from datachef.core.errors import DatachefError, did_you_mean
from datachef.policy.decoding.local import text_of
from datachef.policy.prompt import CountTokens
from datachef.policy.prompt.writer import Prompt
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import Subsets
from datachef.policy.space import RecipeSpace
from datachef.policy.training.log import RecipeLog


@dataclass(frozen=True)
class PromptSample:
    """A prompt, and the index of its task."""

    prompt: Prompt
    task: int


def sample_prompts(
    recipe_tasks: Sequence[RecipeTask],
    subsets: Subsets | None,
    seed: int,
    count_tokens: CountTokens,
    most_tokens: int | None,
) -> Iterator[PromptSample]:
    """Endless prompts of at most `most_tokens` tokens (None: as is usual), for each task in turn:
    over random parts of its space, or over all of it without `subsets`.

    Raises `DatachefError` if an operator that is held out is unknown.
    """
    for name in () if subsets is None else subsets.held_out:
        if name not in recipe_tasks[0].space.vocabulary:
            known = recipe_tasks[0].space.vocabulary
            raise DatachefError(f"no operator {name!r} to hold out", did_you_mean(name, known))
    whole = [recipe_task.prompt(count_tokens, most_tokens) for recipe_task in recipe_tasks]
    rng = random.Random(f"episodes {seed}")
    while True:
        for number, recipe_task in enumerate(recipe_tasks):
            if subsets is None:
                yield PromptSample(whole[number], number)
            else:
                space = random_subspace(recipe_task.space, subsets, rng)
                yield PromptSample(recipe_task.prompt(count_tokens, most_tokens, space), number)


def random_subspace(
    space: RecipeSpace, subsets: Subsets, rng: random.Random, needed: Collection[str] = ()
) -> RecipeSpace:
    """A random part of a space, with all operators and sources that are `needed`."""
    offered = [name for name in space.operators if name not in subsets.held_out]
    # This comes first, since every part keeps a mix, and none that is held out may be it.
    space = space.narrowed({*offered, *needed}, space.sources)
    operators = _some(offered, subsets.operators, rng)
    sources = _some(sorted(space.sources), subsets.sources, rng)
    budget = _less(space.budget, rng.uniform(*subsets.budget))
    return space.narrowed({*operators, *needed}, {*sources, *needed}, budget)


def _some(names: Sequence[str], shares: tuple[float, float], rng: random.Random) -> list[str]:
    count = round(rng.uniform(*shares) * len(names))
    return rng.sample(names, min(max(count, 1), len(names)))


def _less(budget: Budget | None, share: float) -> Budget | None:
    if budget is None:
        return None
    if budget.tokens is not None:
        return Budget(tokens=max(int(share * budget.tokens), 1))
    return Budget(rows=max(int(share * (budget.rows or 0)), 1))


class RecipeRewardFunction:
    """The reward function that TRL calls: the value of each recipe, by the tracker of its task.

    The recipes go into the log, and their mean value into TRL's metrics as `value`.
    """

    __name__ = "recipe"

    def __init__(
        self,
        tokenizer: Any,
        samples: Sequence[PromptSample],
        recipe_tasks: Sequence[RecipeTask],
        trackers: Sequence[ScoreTracker],
        log: RecipeLog,
    ) -> None:
        self._tokenizer = tokenizer
        self._samples = samples
        self._recipe_tasks = recipe_tasks
        self._trackers = trackers
        self._log = log

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        sample: Sequence[int],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        samples = [self._samples[number] for number in sample]
        drafts = [orjson.loads(text_of(tokens, self._tokenizer)) for tokens in completion_ids]
        step = trainer_state.global_step
        recipes = [
            each.prompt.space.recipe(draft, f"step-{step}-{number}")
            for number, (each, draft) in enumerate(zip(samples, drafts, strict=True))
        ]
        scores: dict[int, Score] = {}
        for index, (recipe_task, tracker) in enumerate(
            zip(self._recipe_tasks, self._trackers, strict=True)
        ):
            own = [number for number, each in enumerate(samples) if each.task == index]
            some = [recipes[number] for number in own]
            found = tracker.score_all(some)
            self._log.add(step, recipe_task.name, some, found)
            scores |= dict(zip(own, found, strict=True))
        values = [scores[number].value for number in range(len(recipes))]
        log_metric("value", fmean(values))
        return values
