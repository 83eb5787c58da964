"""The base of filters that hold the score of a classifier or a reward model between two bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field

from datachef.core import asset_folder, checkpoint_name, model_folder, threshold
from datachef.operators.filters.label_score import LabelScoreFilter
from datachef.operators.models.language_model import ROWS_PER_CALL
from datachef.operators.models.sequence_classifier import (
    REQUIRED,
    ClassifierHead,
    SequenceClassifier,
    sequence_classifier,
)

if TYPE_CHECKING:
    from datachef.core import Signal


class ModelScoreFilter(LabelScoreFilter):
    """Drops rows that a model for sequence classification gives too low or too high a score.

    A subclass names the score by `quantity`, and says by `scores` how rows get it.
    """

    not_for_policies: ClassVar[str] = (
        "The model is a file, or an asset, of whoever runs the policy, and a row takes long."
    )
    rows_per_call: ClassVar[int | None] = ROWS_PER_CALL
    model_example: ClassVar[str] = "FOLDER"
    quantity: ClassVar[str]

    model: str | None = checkpoint_name(
        description="Folder of a checkpoint in safetensors, or a model id on the Hugging Face Hub."
    )
    max_tokens: int = Field(
        512, ge=8, le=32_768, description="Tokens that are read, if the model takes as many."
    )
    min: float | None = threshold(
        None, ge=-1e6, le=1e6, description="Score below which rows are dropped."
    )
    max: float | None = threshold(
        None, ge=-1e6, le=1e6, description="Score above which rows are dropped."
    )

    def scores(self, model: SequenceClassifier, batch: pl.DataFrame) -> list[float | None]:
        """The score of every row, None where there is nothing to score."""
        raise NotImplementedError

    def requires(self) -> Mapping[str, str]:
        return REQUIRED

    def labels(self) -> tuple[str, ...]:
        return ClassifierHead(self._folder()).labels

    def _folder(self) -> Path:
        return model_folder(self.model) if self.model else asset_folder(self.asset or "")

    @property
    def _signal(self) -> str:
        return (
            self.quantity
            if self.label is None
            else (f"{self.quantity}_{re.sub(r'[^0-9a-zA-Z]+', '_', self.label)}")
        )

    def signals(self) -> Mapping[str, Signal]:
        return {self._signal: self._scored}

    def _scored(self, batch: pl.DataFrame) -> pl.Series:
        found = self.scores(sequence_classifier(self._folder()), batch)
        return pl.Series(self._signal, found, pl.Float64)

    def reasons(self) -> tuple[str, ...]:
        return ("nothing_to_score", f"too_low_{self.quantity}", f"too_high_{self.quantity}")

    def rules(self) -> Mapping[str, pl.Expr]:
        score, never = pl.col(self._signal), pl.lit(False)
        return {
            "nothing_to_score": score.is_null(),
            f"too_low_{self.quantity}": never if self.min is None else score < self.min,
            f"too_high_{self.quantity}": never if self.max is None else score > self.max,
        }
