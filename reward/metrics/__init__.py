"""Metrics: does a response answer an item of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core.contracts.metric import PROGRAM, AllowCode, Metric
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.registry.installed import installed_metric, metric_of

__all__ = ["make_metric", "metric_for", "our_metrics"]


def our_metrics() -> Sequence[type[Metric]]:
    """The metrics of this package, for the hook that registers them."""
    from datachef.reward.metrics.matching import (
        ExactMatch,
        Label,
        MultipleChoice,
        NumberMatch,
        NumberTolerance,
        YesNo,
    )
    from datachef.reward.metrics.math_match import MathMatch
    from datachef.reward.metrics.unit_tests import UnitTests

    return (
        NumberMatch, NumberTolerance, ExactMatch, MultipleChoice, Label, YesNo, MathMatch,
        UnitTests,
    )  # fmt: skip


def make_metric(name: str, *, allow_code: AllowCode = False, program: str = PROGRAM) -> Metric:
    """The installed metric of this name, ready to score.

    Raises `DatachefError` for an unknown metric, and what `Metric.build` raises.
    """
    return installed_metric(name).build(program=program, allow_code=allow_code)


def metric_for(task: Task, *, allow_code: AllowCode = False) -> Metric:
    """The metric of a task, ready to score. Raises as `make_metric` does.

    One that runs code needs `allow_code`: True runs it in the sandbox alone, "unconfined" even
    where this system has none.
    """
    benchmark = task.benchmark
    program = benchmark.program if isinstance(benchmark, BenchmarkFile) else PROGRAM
    return metric_of(task).build(program=program, allow_code=allow_code)
