"""What training asks of a policy: briefs over one or several tasks, whole or in part.

A policy that only ever saw one set of operators and sources learns it by heart. Parts drawn at
random teach it to read its brief.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from datachef.core.contracts.reward import Score
from datachef.core.contracts.task import Budget
from datachef.core.errors import DatachefError
from datachef.core.problems import did_you_mean
from datachef.core.system.atomic import write_atomically
from datachef.policy.decoding.local import text_of
from datachef.policy.prompt import CountTokens
from datachef.policy.prompt.writer import Brief
from datachef.policy.recipe_task import Assignment
from datachef.policy.scored_recipes import Objective, Recipe
from datachef.policy.settings import Subsets
from datachef.policy.space import RecipeSpace


@dataclass(frozen=True)
class Episode:
    """A brief, and the number of the assignment that it is a part of."""

    brief: Brief
    assignment: int


def episodes(
    assignments: Sequence[Assignment],
    subsets: Subsets | None,
    seed: int,
    count_tokens: CountTokens,
    most_tokens: int,
) -> Iterator[Episode]:
    """Briefs without end of at most so many tokens, the assignments in turn; without `subsets` each
    is always whole. Raises `DatachefError` where what is held out is no operator."""
    for name in () if subsets is None else subsets.held_out:
        if name not in assignments[0].space.vocabulary:
            known = assignments[0].space.vocabulary
            raise DatachefError(f"no operator {name!r} to hold out", did_you_mean(name, known))
    whole = [assignment.brief(count_tokens, most_tokens) for assignment in assignments]
    rng = random.Random(f"episodes {seed}")
    while True:
        for number, assignment in enumerate(assignments):
            if subsets is None:
                yield Episode(whole[number], number)
            else:
                space = part_of(assignment.space, subsets, rng)
                yield Episode(assignment.brief(count_tokens, most_tokens, space), number)


def part_of(
    space: RecipeSpace, subsets: Subsets, rng: random.Random, needed: Collection[str] = ()
) -> RecipeSpace:
    """A random part of a space that still has all operators and sources that are `needed`."""
    offered = [name for name in space.operators if name not in subsets.held_out]
    # First of all, since some mix stays in any part: none that is held out.
    space = space.narrowed({*offered, *needed}, space.surveys)
    operators = _some(offered, subsets.operators, rng)
    sources = _some(sorted(space.surveys), subsets.sources, rng)
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


LOG_FILE = "recipes.jsonl"
_FIELDS = {"step", "task", "recipe", "value", "gate"}


@dataclass(frozen=True)
class Logged:
    """A recipe of a step, for which task, and what the reward said of it."""

    step: int
    task: str
    recipe: Recipe
    value: float
    gate: str


class RecipeLog:
    """Appends to the log of a folder; what came after `step` is taken back first."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / LOG_FILE
        kept = [line for line, row in _rows(self._path) if row["step"] < step]
        write_atomically(self._path, b"".join(line + b"\n" for line in kept))

    def add(self, step: int, task: str, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:
        """Adds the recipes of a step."""
        with self._path.open("ab") as stream:
            for recipe, score in zip(recipes, scores, strict=True):
                row: dict[str, Any] = {"step": step, "task": task, "value": score.value}
                stream.write(orjson.dumps(row | {"gate": score.gate, "recipe": recipe}) + b"\n")


def read_log(folder: Path) -> list[Logged]:
    """What training scored so far, in order."""
    rows = [row for _, row in _rows(folder / LOG_FILE)]
    return [Logged(r["step"], r["task"], r["recipe"], r["value"], r["gate"]) for r in rows]


def _rows(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The whole lines of a file with what they hold; a kill may have left the last one half.

    Raises `DatachefError` for a line that we did not write.
    """
    if not path.exists():
        return
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = orjson.loads(line)
            known = isinstance(row, dict) and row.keys() >= _FIELDS and type(row["step"]) is int
        except orjson.JSONDecodeError:
            known = False
        if not known:
            raise DatachefError(
                f"{path}:{number} is no line of the log of a training",
                "somebody changed it: put it back, or choose another output",
            )
        yield line, row
