"""Metrics: does a response answer an item of a benchmark. `METRICS` has all of them by name."""

from __future__ import annotations

from collections.abc import Mapping

from datachef.core.contracts.task import BenchmarkFile
from datachef.core.errors import DatachefError
from datachef.core.problems import did_you_mean
from datachef.reward.metrics.matching import (
    ExactMatch,
    Label,
    Metric,
    MultipleChoice,
    NumberMatch,
    NumberTolerance,
    YesNo,
)
from datachef.reward.metrics.math_match import MathMatch
from datachef.reward.metrics.unit_tests import AllowCode, UnitTests

__all__ = ["METRICS", "AllowCode", "Metric", "make_metric"]

METRICS: Mapping[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        NumberMatch, NumberTolerance, ExactMatch, MultipleChoice, Label, YesNo, MathMatch,
        UnitTests,
    )
}  # fmt: skip
_PROGRAM: str = BenchmarkFile.model_fields["program"].default


def make_metric(name: str, *, allow_code: AllowCode = False, program: str = _PROGRAM) -> Metric:
    """The metric of this name.

    `unit_tests` runs what a model wrote, and so needs `allow_code`: True runs it in the sandbox
    alone, "unconfined" even where this system has none. `program` tells how an answer becomes a
    program, as `Task.benchmark.program` does.
    Raises `DatachefError` for an unknown metric and for code that is not allowed or cannot be
    confined, and `MissingPackageError` where the metric needs a package that is not there.
    """
    if name not in METRICS:
        raise DatachefError(f"there is no metric {name!r}", hint=did_you_mean(name, METRICS))
    metric = METRICS[name]
    if issubclass(metric, UnitTests):
        return metric(program, allow_code=allow_code)
    return metric()
