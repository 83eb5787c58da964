"""What is said of rows, and what it says of the corpus that they were sampled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Klass = Literal["invalid", "format", "incorrect", "task_mismatch", "pass"]
KLASSES: tuple[Klass, ...] = get_args(Klass)

# Of DataChef (https://arxiv.org/abs/2602.11089); the first class that fits a row decides.
VALUES: Mapping[Klass, float] = {
    "invalid": 0.0,
    "format": 0.0,
    "incorrect": 0.0,
    "task_mismatch": 0.4,
    "pass": 1.0,
}


@dataclass(frozen=True)
class Verdict:
    """The class of a row and why it is that."""

    klass: Klass
    reason: str

    @property
    def value(self) -> float:
        return VALUES[self.klass]


@dataclass(frozen=True)
class Failure:
    """A judge was asked and gave no verdict: refused, cut off, or not what was asked for."""

    reason: str

    @property
    def value(self) -> float:
        return 0.0


@dataclass(frozen=True)
class RowOpinion:
    """What was said of a row, by each judge in their order.

    `exact` where a checker said it and no judge was asked; its verdict then stands for them all.
    """

    id: str
    source: str
    opinions: tuple[Verdict | Failure, ...]
    exact: bool

    @property
    def value(self) -> float:
        """The mean over the judges; a failure is worth 0."""
        return sum(opinion.value for opinion in self.opinions) / len(self.opinions)


@dataclass(frozen=True)
class Verification:
    """How good the rows of a corpus are, estimated from a sample of them.

    `value` in [0, 1] is the mean over all rows by weight, 0 where there are none, and
    `standard_error` that of the sampling alone, not of the judges. `counts` has every class with
    the opinions that name it and `failures` those that are none and count as 0: together they are
    rows times judges. `by_source` has the mean and the number of sampled rows. Between two judges,
    over the rows that both judged, `agreement` is the share with the same class and `kappa` is
    Cohen's kappa, which sets off agreement by chance; None where they are not defined.
    """

    value: float
    standard_error: float
    counts: Mapping[Klass, int]
    failures: int
    agreement: float | None
    kappa: float | None
    by_source: Mapping[str, tuple[float, int]]
    rows: tuple[RowOpinion, ...]
