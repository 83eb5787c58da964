"""Toxicity, quality, or any other class, by a classifier of transformers."""

from __future__ import annotations

from typing import Literal

import polars as pl

from datachef.operators.filters.model_score import ModelScoreFilter
from datachef.operators.models.sequence_classifier import SequenceClassifier


class ClassifierFilter(ModelScoreFilter):
    """Drops text by what a classifier says of it: toxicity, educational quality, any label.

    The model is one of transformers' AutoModelForSequenceClassification:

    - toxicity, as `unitary/toxic-bert` (https://github.com/unitaryai/detoxify): `label: toxic`,
      `max: 0.5`. The score is a probability, by a sigmoid or a softmax as its configuration says.
    - quality by a regression, as FineWeb-Edu (Penedo et al. 2024, arXiv 2406.17557) keeps pages by
      `HuggingFaceFW/fineweb-edu-classifier`: `min: 3` on its scale from 0 to 5. FineWeb-Edu rounds
      the score first: `min: 2.5` keeps what it keeps.

    The first `max_tokens` tokens are read, of conversations those of the text of all turns. Of 512
    tokens a BERT of base size takes about a second.
    """

    op: Literal["classifier_filter"] = "classifier_filter"

    quantity = "classifier_score"

    def scores(self, model: SequenceClassifier, batch: pl.DataFrame) -> list[float | None]:
        return [
            model.of_text(text, self.label, self.max_tokens) if text and text.strip() else None
            for text in batch["text"]
        ]
