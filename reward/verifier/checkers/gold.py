"""Questions of the task's own training split, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from datachef.core.benchmark import BenchmarkItem
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.core.task import BenchmarkFile, Task
from datachef.reward.verifier.row import Row
from datachef.reward.verifier.verdict import Verdict

if TYPE_CHECKING:
    from datachef.reward.metrics import AllowCode, Checker


def gold_checker(
    task: Task, examples: Sequence[BenchmarkItem], *, allow_code: AllowCode = False
) -> GoldChecker | None:
    """The checker of a task with these examples; None where there are none.

    None too for a task with unit tests, unless it has a program to run and `allow_code` is set.
    """
    from datachef.reward.metrics import checker

    if not examples:
        return None
    if task.metric != "unit_tests":
        return GoldChecker(examples, checker(task.metric))
    if not allow_code or not isinstance(task.benchmark, BenchmarkFile):
        return None
    runner = checker(task.metric, allow_code=allow_code, program=task.benchmark.program)
    return GoldChecker(examples, runner)


class GoldChecker:
    """Compares the answer to a known question with its gold answer, by the metric of the task.

    A row counts that is one question with one answer, the question being that of an example up to
    white space. Where examples share a question, the answer to any of them is right.
    """

    def __init__(self, examples: Sequence[BenchmarkItem], checker: Checker) -> None:
        known: dict[str, list[BenchmarkItem]] = {}
        for item in examples:
            if item.answer:
                known.setdefault(_plain(item.prompt), []).append(item)
        self._known: Mapping[str, Sequence[BenchmarkItem]] = known
        self._checker = checker

    def check(self, row: Row) -> Verdict | None:
        spoken = [turn for turn in row.turns or () if turn[0] != "system"]
        if [role for role, _ in spoken] != ["user", "assistant"]:
            return None
        items = self._known.get(_plain(spoken[0][1]))
        if items is None:
            return None
        try:
            right = any(self._checker.correct(spoken[1][1], item) for item in items)
        except MissingPackageError:
            raise
        except DatachefError:  # this example cannot be judged by the metric
            return None
        if right:
            return Verdict("pass", "the answer to an example of the task agrees with its gold")
        return Verdict("incorrect", "the answer to an example of the task is not its gold answer")


def _plain(text: str) -> str:
    return " ".join(text.split())
