"""Several answers to each question, of which the right ones are kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from datachef.core import (
    BenchmarkItem,
    DroppedRowError,
    Metric,
    Task,
    final_answer,
    installed_metric,
    normalised_answer,
    options_of,
)
from datachef.operators.synthesis.answer_question import AnswerSynthesis
from datachef.operators.synthesis.exchange import Exchange, exchange_of

Checker = Literal["number_match", "exact_match", "multiple_choice", "yes_no", "math_match"]
CHECKERS: tuple[Checker, ...] = (
    "number_match",
    "exact_match",
    "multiple_choice",
    "yes_no",
    "math_match",
)


class RejectionSampling(AnswerSynthesis):
    """Answers each question several times and keeps what a checker finds right.

    Rejection sampling as in RFT (Yuan et al. 2023, arXiv 2308.01825) and STaR (Zelikman et al.
    2022, arXiv 2203.14465). The checker is the metric of that name, so that right means what it
    means in the benchmark. The gold answer is that of a column, or that which the conversation has
    already, which the model does not see. Of a worked solution it is the answer that it marks, or
    else its last line. Equal answers are kept once; RFT tells them apart by their equations, this
    by their words. Metrics that run code are no checkers: a recipe runs no code.
    """

    op: Literal["rejection_sampling"] = "rejection_sampling"

    max_rows: ClassVar[int | None] = 64

    temperature: float = Field(0.7, ge=0, le=2, description="Randomness of the answers.")
    samples: int = Field(4, ge=1, le=64, description="Answers per question.")
    checker: Checker = Field(
        "number_match",
        description="When an answer is right: a metric. That of the recipe's task, if it is one of "
        "these and none is named.",
    )
    gold: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Column with the right answer; without it, the answer of the conversation.",
    )
    keep: Literal["first", "shortest", "all"] = Field(
        "first", description="Which of the right answers are kept."
    )

    @property
    def calls(self) -> int:
        return self.samples

    @property
    def rows_per_row(self) -> int:
        return self.samples if self.keep == "all" else 1

    def reads(self) -> set[str]:
        return super().reads() | ({self.gold} if self.gold else set())

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_gold_answer", "wrong_answer")

    def requires(self) -> Mapping[str, str]:
        return {"math_verify": "math-verify"} if self.checker == "math_match" else {}

    def for_task(self, task: Task) -> Self:
        if "checker" in self.model_fields_set or task.metric not in CHECKERS:
            return self
        return self.changed({"checker": task.metric})

    @cached_property
    def _metric(self) -> Metric:
        return installed_metric(self.checker).build()

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self._gold(exchange, row)  # nothing is paid for a question whose answer is unknown
        return {**super().shown(exchange, row), "answer": ""}

    def _gold(self, exchange: Exchange, row: Mapping[str, Any]) -> str:
        said = exchange.answer if self.gold is None else row[self.gold]
        text = "" if said is None else str(said).strip()
        if not text:
            raise DroppedRowError("no_gold_answer")
        marked = final_answer(text)
        return marked or (text.splitlines()[-1] if self.gold is None else text)

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        made = super().parse(answer, row)
        exchange = exchange_of(row)
        options = options_of(row, exchange.question) if self.checker == "multiple_choice" else None
        gold, choices = self._gold(exchange, row), () if options is None else options.texts
        item = BenchmarkItem(exchange.question, gold, choices, row)
        if self._metric.score(answer, item) < 1:
            raise DroppedRowError("wrong_answer", f"not {gold!r}: ...{answer[-200:]}")
        return made

    def choose(self, made: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
        if self.keep == "first":
            return made[:1]
        if self.keep == "shortest":
            return [min(made, key=lambda new: len(_answer(new)))]
        return list({normalised_answer(_answer(new)): new for new in reversed(made)}.values())[::-1]


def _answer(made: Mapping[str, Any]) -> str:
    return str(made["messages"][-1]["content"])
