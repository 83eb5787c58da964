"""Several answers to each question, of which the right ones are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import DroppedRowError, final_answer, normalised_answer
from datachef.operators.synthesis.answer_checks import CODE, AnswerChecks
from datachef.operators.synthesis.answer_question import AnswerSynthesis
from datachef.operators.synthesis.exchange import Exchange, exchange_of


class RejectionSampling(AnswerChecks, AnswerSynthesis):
    """Answers each question several times and keeps what a checker finds right.

    Rejection sampling as in RFT (Yuan et al. 2023, arXiv 2308.01825) and STaR (Zelikman et al.
    2022, arXiv 2203.14465). The checker is the metric of that name, so that right means what it
    means in the benchmark. The gold answer is that of a column, or that which the conversation has
    already, which the model does not see. Of a worked solution it is the answer that it marks, or
    else its last line. Equal answers are kept once; RFT tells them apart by their equations, this
    by their words. `unit_tests` runs the answers in a sandbox, with the tests in a column, and only
    where the user allows it with `--allow-code`.
    """

    op: Literal["rejection_sampling"] = "rejection_sampling"

    max_rows: ClassVar[int | None] = 64

    temperature: float = Field(0.7, ge=0, le=2, description="Randomness of the answers.")
    samples: int = Field(4, ge=1, le=64, description="Answers per question.")
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

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_gold_answer", "cannot_be_checked", "wrong_answer")

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self._gold(exchange, row)  # nothing is paid for a question whose answer is unknown
        return {**super().shown(exchange, row), "answer": ""}

    def _gold(self, exchange: Exchange, row: Mapping[str, Any]) -> str:
        if self.gold is not None or self.checker == CODE:
            found = self.gold_answer(row)
        else:
            text = (exchange.answer or "").strip()
            found = final_answer(text) or (text.splitlines() or [""])[-1]
        if not found and self.checker != CODE:
            raise DroppedRowError("no_gold_answer")
        return found

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        made = super().parse(answer, row)
        exchange = exchange_of(row)
        gold = self._gold(exchange, row)
        score = self.score(answer, exchange.question, gold, row)
        if not isinstance(score, float):
            raise DroppedRowError("cannot_be_checked", str(score))
        if score < 1:
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
