"""The rows that a classifier takes for examples of the task."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import Context, lowest, sampling_priorities
from datachef.operators.models.ngram_classifier import NGramClassifier
from datachef.operators.selection.targeted import ScoredSelection
from datachef.operators.text.hashed_ngrams import ngram_buckets, rarity

# Examples that the classifier learns from, and rows of the corpus that it tells them from.
_EXAMPLES, _ROWS = 5_000, 20_000


class TaskRanking(ScoredSelection):
    """Keeps the rows that a classifier finds most like the examples of the task.

    A linear classifier of words and pairs of words is trained on the task's examples against a
    random part of the corpus, and ranks all rows by the probability that it gives them. BETR
    (Mizrahi et al. 2025, https://arxiv.org/abs/2507.12466) also ranks by a light classifier toward
    benchmarks; there it learns which rows of a sample have embeddings near those of examples, here,
    as in GPT-3 (Brown et al. 2020, https://arxiv.org/abs/2005.14165) and DCLM, it learns the
    examples themselves, and needs no model. What tells examples from the corpus by their form alone
    counts too: bring rows into the form of the task first. The probability says nothing of how many
    rows belong to the task, since both sides weigh the same.
    """

    op: Literal["task_ranking"] = "task_ranking"
    regularization: float = Field(
        0.001,
        ge=1e-5,
        le=1.0,
        examples=[0.0001, 0.001, 0.01],
        description="How much large weights cost; more ranks by more words.",
    )

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id", ngram_buckets(batch["text"]).alias("buckets"))

    def scores(self, summaries: pl.LazyFrame, context: Context) -> NDArray[np.float64]:
        drawn = pl.Series("drawn", lowest(sampling_priorities(summaries, context.seed), _ROWS))
        sample = pl.concat([summaries.select("buckets"), drawn.to_frame().lazy()], how="horizontal")
        classifier = NGramClassifier.trained(
            ngram_buckets(self.examples(_EXAMPLES)),
            sample.filter("drawn").collect()["buckets"],
            rarity(summaries, "buckets"),
            self.regularization,
        )
        parts = summaries.select("buckets").collect_batches(maintain_order=True)
        found = [classifier.probabilities(part["buckets"]) for part in parts]
        return np.concatenate([np.zeros(0), *found])
