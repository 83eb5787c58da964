"""Instruction-following difficulty: how little an instruction helps a model expect the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, asset_name, threshold, turns_of
from datachef.operators.models.language_model import REQUIRED, ROWS_PER_CALL, language_model

if TYPE_CHECKING:
    from datachef.core import Signal


class IFDFilter(Filter):
    """Drops conversations whose instruction does not help to expect the answer, by their IFD score.

    IFD (Li et al. 2023, Cherry LLM, arXiv 2308.12032) is the mean loss of the answer behind its
    instruction, divided by its loss alone. At 1 or more the answer does not follow from the
    instruction; near 0 the instruction gives it away. The authors drop what is not below 1 and
    keep the highest scores: `keep_signals: true`, then `top_selection` by `ifd`. That a small
    model ranks as a large one does is shown in Superfiltering (arXiv 2402.00530).

    The answer is the last turn of the assistant, the instruction all turns before it, in the
    model's chat template. Both losses are of the same tokens: half of `max_tokens` at most for the
    answer, from its beginning, and what is left for the end of the instruction, where the authors
    cut the end of both together.
    """

    not_for_policies: ClassVar[str] = "A row takes about a second, and a policy tries many recipes."
    rows_per_call: ClassVar[int | None] = ROWS_PER_CALL

    op: Literal["ifd_filter"] = "ifd_filter"

    model: str = asset_name("smollm2", description="Asset with a causal language model.")
    max_tokens: int = Field(
        1024, ge=16, le=8192, description="Tokens of instruction and answer that are read."
    )
    max: float = threshold(
        1.0, gt=0, le=10, description="Drop where the score is this high or higher."
    )
    min: float = threshold(0.0, ge=0, le=10, description="Drop where the score is lower.")

    def reads(self) -> set[str]:
        return {"text", "messages"}

    def requires(self) -> Mapping[str, str]:
        return REQUIRED

    def signals(self) -> Mapping[str, Signal]:
        return {"ifd": self._scores}

    def _scores(self, batch: pl.DataFrame) -> pl.Series:
        found = [None if row is None else self._score(turns_of(row)) for row in batch["messages"]]
        return pl.Series("ifd", found, pl.Float64)

    def _score(self, turns: list[dict[str, Any]]) -> float | None:
        places = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
        if not places or places[-1] == 0:
            return None
        model = language_model(self.model)
        answer = model.tokens(turns[places[-1]]["content"] or "", self.max_tokens // 2)
        instruction = model.prompt(turns[: places[-1]])[len(answer) - self.max_tokens :]
        behind, alone = model.loss(answer, instruction), model.loss(answer)
        return None if behind is None or not alone else behind / alone

    def reasons(self) -> tuple[str, ...]:
        return ("no_answer_to_score", "answer_not_from_instruction", "answer_too_easy")

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "no_answer_to_score": pl.col("ifd").is_null(),
            "answer_not_from_instruction": pl.col("ifd") >= self.max,
            "answer_too_easy": pl.col("ifd") < self.min,
        }
