"""Whether an answer to a question is right, as a metric of benchmarks says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self, get_args

from pydantic import Field

from datachef.core import (
    BenchmarkItem,
    DatachefError,
    Metric,
    MissingPackageError,
    Operator,
    Task,
    UnavailableError,
    allowed_code,
    code_of,
    final_answer,
    installed_metric,
    options_of,
)

Checker = Literal[
    "number_match", "number_tolerance", "exact_match", "multiple_choice", "yes_no", "math_match",
    "unit_tests",
]  # fmt: skip
CHECKERS: tuple[str, ...] = get_args(Checker)
# What runs the answer, with tests that are columns of the row.
CODE = "unit_tests"
_FIELD = re.compile(r"\{([^{}]+)\}")


class AnswerChecks(Operator):
    """An operator that asks of answers whether they are right."""

    checker: Checker = Field(
        "number_match",
        # Not every source has tests, and not every user lets them run.
        examples=[name for name in CHECKERS if name != CODE],
        description="When an answer is right: a metric. That of the recipe's task, if it is one of "
        "these and none is named.",
    )
    gold: str | None = Field(
        None, min_length=1, max_length=200, description="Column with the right answer."
    )
    program: str = Field(
        "{answer}\n{tests}",
        min_length=8,
        max_length=10_000,
        description="For unit_tests, what is run: columns in braces, {answer} being the answer; a "
        "line #SOLUTION# also stands for it.",
    )

    def reads(self) -> set[str]:
        columns = super().reads() | ({self.gold} if self.gold else set())
        if self.checker == CODE:
            fields = {name.partition(".")[0] for name in _FIELD.findall(self.program)}
            columns |= fields - {"answer", "prompt"}
        return columns

    def requires(self) -> Mapping[str, str]:
        needed = {"math_verify": "math-verify"} if self.checker == "math_match" else {}
        return {**super().requires(), **needed}

    def runs_code(self) -> bool:
        return self.checker == CODE

    def for_task(self, task: Task) -> Self:
        if "checker" in self.model_fields_set or task.metric not in CHECKERS:
            return self
        return self.changed({"checker": task.metric})

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"checker": code_of(installed_metric(self.checker))}

    @cached_property
    def _metric(self) -> Metric:
        return installed_metric(self.checker).build(program=self.program, allow_code=allowed_code())

    def gold_answer(self, row: Mapping[str, Any]) -> str:
        """The right answer in the column `gold`, of a worked solution that which it marks; empty
        where there is none."""
        said = None if self.gold is None else row[self.gold]
        text = "" if said is None else str(said).strip()
        return text if self.checker == CODE else final_answer(text) or text

    def score(
        self, answer: str, question: str, gold: str, row: Mapping[str, Any]
    ) -> float | DatachefError:
        """From 0, wrong, to 1, right; or why the metric cannot judge the answers to a question."""
        options = options_of(row, question) if self.checker == "multiple_choice" else None
        item = BenchmarkItem(question, gold, () if options is None else options.texts, row)
        try:
            return self._metric.score(answer, item)
        except (MissingPackageError, UnavailableError):
            raise
        except DatachefError as error:
            return error
