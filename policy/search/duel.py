"""Two methods over several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from datachef.core.errors import DatachefError
from datachef.policy.search.comparison import Runs, best_of


@dataclass(frozen=True)
class Duel:
    """How often one method does at least as well as another, with the same count of calls.

    On `at_least` of `tasks` tasks its mean over runs is no lower. `probability` is that of one run
    of the first reaching one of the second, both drawn evenly, averaged over tasks; like the
    probability of improvement of Agarwal et al. 2021 (https://arxiv.org/abs/2108.13264), but that
    reaching is enough.
    """

    first: str
    second: str
    tasks: int
    at_least: int
    probability: float


def duel(tasks: Mapping[str, Runs], first: str, second: str, calls: int) -> Duel:
    """The duel of two methods on the tasks where both were run.

    `tasks` holds the runs of methods by task. Raises `DatachefError` where there is no such task.
    """
    pairs = [
        (_found(runs[first], calls), _found(runs[second], calls))
        for runs in tasks.values()
        if runs.get(first) and runs.get(second)
    ]
    if not pairs:
        raise DatachefError(f"no task has runs of both {first} and {second}", "run both on one")
    return Duel(
        first=first,
        second=second,
        tasks=len(pairs),
        at_least=sum(fmean(ours) >= fmean(theirs) for ours, theirs in pairs),
        probability=fmean(
            fmean(our >= their for our, their in product(ours, theirs)) for ours, theirs in pairs
        ),
    )


def _found(runs: Sequence[Sequence[float]], calls: int) -> list[float]:
    return [best_of(run, calls) for run in runs]
