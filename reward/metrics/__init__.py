"""Exact checkers: does a response answer an item, by the metric that its task names."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.errors import DatachefError
from datachef.core.problems import did_you_mean
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.exact_match import ExactMatch
from datachef.reward.metrics.label import Label
from datachef.reward.metrics.math_match import MathMatch
from datachef.reward.metrics.multiple_choice import MultipleChoice
from datachef.reward.metrics.number_match import NumberMatch
from datachef.reward.metrics.number_tolerance import NumberTolerance
from datachef.reward.metrics.unit_tests import AllowCode, UnitTests
from datachef.reward.metrics.yes_no import YesNo

__all__ = ["METRICS", "AllowCode", "Checker", "checker"]

METRICS: tuple[str, ...] = get_args(Task.model_fields["metric"].annotation)
_PROGRAM: str = BenchmarkFile.model_fields["program"].default

_CHECKERS: dict[str, Callable[[], Checker]] = {
    "number_match": NumberMatch,
    "number_tolerance": NumberTolerance,
    "exact_match": ExactMatch,
    "multiple_choice": MultipleChoice,
    "label": Label,
    "yes_no": YesNo,
    "math_match": MathMatch,
}


def checker(metric: str, *, allow_code: AllowCode = False, program: str = _PROGRAM) -> Checker:
    """The checker of a metric of `Task`.

    `unit_tests` runs what a model wrote, and so needs `allow_code`: True runs it behind walls
    alone, "unconfined" even where this system has none. `program` tells how an answer becomes a
    program, as `Task.benchmark.program` does.
    Raises `DatachefError` for an unknown metric and for code that is not allowed or cannot be
    confined, and `MissingPackageError` where the metric needs a package that is not there.
    """
    if metric == "unit_tests":
        return UnitTests(program, allow_code=allow_code)
    if metric not in _CHECKERS:
        raise DatachefError(f"there is no metric {metric!r}", hint=did_you_mean(metric, METRICS))
    return _CHECKERS[metric]()
