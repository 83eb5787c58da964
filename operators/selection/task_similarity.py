"""The rows that are most similar to the examples of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import Context
from datachef.operators.selection.targeted import ScoredSelection
from datachef.operators.selection.text_vectors import By, TextVectorOperator, TextVectors, features

# Of hashed n-grams: a chance similarity of two texts is about .01.
_DIMENSIONS = 8_192
# Examples that rows are compared with; an embedding costs time, which is spent once.
_EXAMPLES: Mapping[By, int] = {"ngrams": 1_000, "embeddings": 256}


class TaskSimilarity(TextVectorOperator, ScoredSelection):
    """Keeps the rows that are most similar to the examples of the task.

    Cosine similarity, of vectors of words and pairs of words that weigh by how rare they are
    (TF-IDF), or of embeddings by MiniLM, as BETR compares documents with benchmark examples
    (Mizrahi et al. 2025, https://arxiv.org/abs/2507.12466); to the nearest example, or on average
    over all. Of many examples 1,000 evenly spaced ones are read, by embeddings 256. MiniLM reads
    English, and of a text the first 256 tokens.
    """

    op: Literal["task_similarity"] = "task_similarity"
    to: Literal["nearest", "mean"] = Field(
        "nearest", description="Similarity to the nearest example, or the mean over all of them."
    )

    def scores(self, summaries: pl.LazyFrame, context: Context) -> NDArray[np.float64]:
        vectors = TextVectors(summaries, self.by, _DIMENSIONS)
        examples = self.examples(_EXAMPLES[self.by])
        target = vectors.of(features(examples, self.by, self.model))
        target = target[target.any(axis=1)]
        if self.to == "mean":
            target = target.mean(axis=0, keepdims=True)
        found = [(block @ target.T).max(axis=1) for block in vectors.blocks()]
        return np.concatenate([np.zeros(0), *found])
