"""The reward as TRL calls it: with the tokens of finished recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import orjson

from datachef.core.reward import Score
from datachef.policy.assignment import Assignment
from datachef.policy.decoding.local import text_of
from datachef.policy.objective import Objective
from datachef.policy.training.episodes import Episode
from datachef.policy.training.log import RecipeLog


class RecipeScores:
    """The value of each recipe, by the objective of its assignment; their mean is logged as
    `value`."""

    __name__ = "recipe"

    def __init__(
        self,
        tokenizer: Any,
        asked: Sequence[Episode],
        assignments: Sequence[Assignment],
        objectives: Sequence[Objective],
        log: RecipeLog,
    ) -> None:
        self._tokenizer = tokenizer
        self._asked = asked
        self._assignments = assignments
        self._objectives = objectives
        self._log = log

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        episode: Sequence[int],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        asked = [self._asked[number] for number in episode]
        drafts = [orjson.loads(text_of(tokens, self._tokenizer)) for tokens in completion_ids]
        step = trainer_state.global_step
        recipes = [
            each.brief.space.recipe(draft, f"step-{step}-{number}")
            for number, (each, draft) in enumerate(zip(asked, drafts, strict=True))
        ]
        scores: dict[int, Score] = {}
        for index, (assignment, objective) in enumerate(
            zip(self._assignments, self._objectives, strict=True)
        ):
            own = [number for number, each in enumerate(asked) if each.assignment == index]
            some = [recipes[number] for number in own]
            found = objective.score_all(some)
            self._log.add(step, assignment.name, some, found)
            scores |= dict(zip(own, found, strict=True))
        values = [scores[number].value for number in range(len(recipes))]
        log_metric("value", fmean(values))
        return values
