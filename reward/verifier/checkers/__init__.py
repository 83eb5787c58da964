"""Exact checkers: what can be said of a row without asking a model."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core.benchmark import BenchmarkItem
from datachef.core.task import Task
from datachef.reward.metrics.unit_tests import AllowCode
from datachef.reward.verifier.checkers.arithmetic import ArithmeticChecker
from datachef.reward.verifier.checkers.conversation import ConversationChecker
from datachef.reward.verifier.checkers.gold import gold_checker
from datachef.reward.verifier.checkers.python_code import PythonChecker
from datachef.reward.verifier.checkers.readable import ReadableChecker
from datachef.reward.verifier.row import RowChecker


def exact_checkers(
    task: Task, examples: Sequence[BenchmarkItem], *, allow_code: AllowCode = False
) -> tuple[RowChecker, ...]:
    """The checkers that fit a task with these examples, in the order in which they are asked.

    `allow_code` lets answers to examples of a task with unit tests be checked by running them.
    """
    checkers: list[RowChecker] = [ReadableChecker(), ConversationChecker()]
    if task.metric == "number_match":
        checkers.append(ArithmeticChecker())
    if task.metric == "unit_tests":
        checkers.append(PythonChecker())
    gold = gold_checker(task, examples, allow_code=allow_code)
    return (*checkers, gold) if gold is not None else tuple(checkers)
