"""How good an answer is, by a reward model."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import turns_of
from datachef.operators.filters.model_score import ModelScoreFilter
from datachef.operators.models.sequence_classifier import SequenceClassifier


class RewardModelFilter(ModelScoreFilter):
    """Drops conversations whose last answer a reward model scores too low.

    A reward model is a language model with one logit (Ouyang et al. 2022, arXiv 2203.02155), read
    over the conversation up to the answer in the model's chat template, as RewardBench (Lambert et
    al. 2024, arXiv 2403.13787) and Skywork-Reward (Liu et al. 2024, arXiv 2410.18451) do; one
    without a template reads question and answer as a pair. Scores are comparable within a model
    alone: keep the signal and look at its distribution, or take the best by `top_selection`. Of a
    conversation that is too long the end is read.
    """

    op: Literal["reward_model_filter"] = "reward_model_filter"

    quantity = "reward"

    max_tokens: int = Field(
        4096, ge=8, le=32_768, description="Tokens that are read, from the end of the answer."
    )

    def reads(self) -> set[str]:
        return {"text", "messages"}

    def scores(self, model: SequenceClassifier, batch: pl.DataFrame) -> list[float | None]:
        return [
            None if row is None else self._reward(model, turns_of(row)) for row in batch["messages"]
        ]

    def _reward(self, model: SequenceClassifier, turns: list[dict[str, Any]]) -> float | None:
        places = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
        if not places or places[-1] == 0 or not (turns[places[-1]]["content"] or "").strip():
            return None
        return model.of_conversation(turns[: places[-1] + 1], self.label, self.max_tokens)
