"""Whether the answer of a conversation is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import polars as pl

from datachef.core import CheckContext, DatachefError, DroppedRowError, Filter, threshold
from datachef.operators.synthesis.answer_checks import CODE, AnswerChecks
from datachef.operators.synthesis.exchange import Exchange, exchange_of

if TYPE_CHECKING:
    from datachef.core import Signal


class AnswerCheckFilter(AnswerChecks, Filter):
    """Drops conversations whose answer is not right, by a right answer or unit tests in a column.

    The checker is a metric of benchmarks, so that right means what it means there: numbers,
    options, mathematics by math-verify, or code that passes its tests, as OpenCodeInstruct (Ahmad
    et al. 2025, arXiv 2504.04030) and Open-R1 (https://github.com/huggingface/open-r1) select
    solutions. The answer is the first after the last question. `unit_tests` runs it in a sandbox,
    about seven a second and core, and only where the user allows it with `--allow-code`.
    """

    not_for_policies: ClassVar[str] = "The column of right answers is named by whoever knows it."
    rows_per_call: ClassVar[int | None] = 16

    op: Literal["answer_check_filter"] = "answer_check_filter"

    min_score: float = threshold(
        1.0, ge=0, le=1, description="Least score of the metric, which is 1 for a right answer."
    )

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.gold is None and self.checker != CODE:
            message = f"{self.checker} compares with a right answer, and no column is named"
            yield "gold", message, "gold: COLUMN"

    def reads(self) -> set[str]:
        return super().reads() | {"messages"}

    def signals(self) -> Mapping[str, Signal]:
        return {"answer_lack": self._lacks, "answer_score": self._scores}

    def _lacks(self, batch: pl.DataFrame) -> pl.Series:
        asked = map(self._asked, batch.iter_rows(named=True))
        found = [lack if isinstance(lack, str) else None for lack in asked]
        return pl.Series("answer_lack", found, pl.String)

    def _scores(self, batch: pl.DataFrame) -> pl.Series:
        judged = map(self._judged, batch.iter_rows(named=True))
        found = [score if isinstance(score, float) else None for score in judged]
        return pl.Series("answer_score", found, pl.Float64)

    def _asked(self, row: Mapping[str, Any]) -> tuple[Exchange, str] | str:
        """The last exchange with its right answer; or what the row lacks."""
        try:
            found = exchange_of(row)
        except DroppedRowError as error:
            return error.reason
        if found.answer is None:
            return "no_answer"
        gold = self.gold_answer(row)
        return (found, gold) if gold or self.checker == CODE else "no_gold_answer"

    def _judged(self, row: Mapping[str, Any]) -> float | DatachefError | None:
        asked = self._asked(row)
        if isinstance(asked, str):
            return None
        exchange, gold = asked
        return self.score(exchange.answer or "", exchange.question, gold, row)

    def details(self, dropped: pl.DataFrame) -> pl.Series:
        return pl.Series(map(self._detail, dropped.iter_rows(named=True)), dtype=pl.String)

    def _detail(self, row: Mapping[str, Any]) -> str:
        if row["reason"] == "cannot_be_checked":
            return str(self._judged(row))
        asked = self._asked(row)
        if isinstance(asked, str):
            return ""
        exchange, gold = asked
        return f"not {gold[:200]!r}: ...{(exchange.answer or '')[-200:]}"

    def rules(self) -> Mapping[str, pl.Expr]:
        lack, score = pl.col("answer_lack"), pl.col("answer_score")
        lacking = ("no_question", "no_answer", "no_gold_answer")
        return {
            **{reason: lack == reason for reason in lacking},
            "cannot_be_checked": score.is_null(),
            "wrong_answer": score < self.min_score,
        }
