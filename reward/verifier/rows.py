"""Rows as judges and checkers see them, their grades, and what the grades say of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from datachef.core.text import conversations as chat

RowGrade = Literal["invalid", "format", "incorrect", "task_mismatch", "pass"]
ROW_GRADES: tuple[RowGrade, ...] = get_args(RowGrade)

# Of DataChef (https://arxiv.org/abs/2602.11089); the first grade that fits a row counts.
GRADE_VALUES: Mapping[RowGrade, float] = {
    "invalid": 0.0,
    "format": 0.0,
    "incorrect": 0.0,
    "task_mismatch": 0.4,
    "pass": 1.0,
}


@dataclass(frozen=True)
class Verdict:
    """The grade of a row and the reason for it."""

    grade: RowGrade
    reason: str

    @property
    def value(self) -> float:
        return GRADE_VALUES[self.grade]


@dataclass(frozen=True)
class JudgeFailure:
    """A judge was asked and gave no verdict: refused, cut off, or not what was asked for."""

    reason: str

    @property
    def value(self) -> float:
        return 0.0


@dataclass(frozen=True)
class GradedRow:
    """The verdicts on a row, one per judge, in their order.

    `exact` where a checker decided and no judge was asked; its verdict then stands for them all.
    """

    id: str
    source: str
    verdicts: tuple[Verdict | JudgeFailure, ...]
    exact: bool

    @property
    def value(self) -> float:
        """The mean over the judges; a failure is worth 0."""
        return sum(verdict.value for verdict in self.verdicts) / len(self.verdicts)


@dataclass(frozen=True)
class Verification:
    """How good the rows of a corpus are, estimated from a sample of them.

    `value` in [0, 1] is the mean over all rows by weight, 0 where there are none, and
    `standard_error` that of the sampling alone, not of the judges. `counts` has the number of
    verdicts per grade and `failures` that of failed judgements, which count as 0: together they are
    rows times judges. `by_source` has the mean and the number of sampled rows. Between two judges,
    over the rows that both judged, `agreement` is the share with the same grade and `kappa` is
    Cohen's kappa, which sets off agreement by chance; None where they are not defined.
    """

    value: float
    standard_error: float
    counts: Mapping[RowGrade, int]
    failures: int
    agreement: float | None
    kappa: float | None
    by_source: Mapping[str, tuple[float, int]]
    rows: tuple[GradedRow, ...]


@dataclass(frozen=True)
class SampledRow:
    """One row of a corpus; `turns` are pairs of role and what is said, None for a document."""

    id: str
    source: str
    text: str
    turns: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> SampledRow:
        """The row with the columns `id`, `source`, `text` and, where there are any, `messages`."""
        messages = data.get("messages")
        turns = None
        if messages is not None:
            turns = tuple(
                (turn["role"] or "", chat.render_text(turn)) for turn in chat.turns_of(messages)
            )
        return cls(data["id"], data["source"], data["text"] or "", turns)

    @property
    def answer(self) -> str:
        """What a model learns to say: all turns of the assistant, or the whole document."""
        if self.turns is None:
            return self.text
        return "\n\n".join(content for role, content in self.turns if role == "assistant")


class RowChecker(Protocol):
    """Something that knows for certain what some rows are."""

    def check(self, row: SampledRow) -> Verdict | None:
        """The verdict; None where the checker cannot tell and a judge is to be asked."""
