"""How near in meaning the rows of a corpus are to the examples of the task, by embeddings."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core.assets.embedding import embedder

# An embedding takes some hundredth of a second.
ROWS = 100
EXAMPLES = 64


class EmbeddedExamples:
    """Examples of a task as vectors of length 1, that rows are compared with.

    BETR compares documents with the examples of benchmarks so (Mizrahi et al. 2025,
    https://arxiv.org/abs/2507.12466).
    """

    def __init__(self, asset: str, texts: pl.DataFrame) -> None:
        """Of many examples, `EXAMPLES` evenly spaced ones count. Raises `MissingAssetError` where
        the asset is not there."""
        self._asset = asset
        places = np.unique(np.linspace(0, texts.height - 1, EXAMPLES).astype(np.int64))
        self._examples = self._embedded(texts[places])

    def similarity(self, texts: pl.DataFrame, weights: NDArray[np.float64]) -> dict[str, float]:
        """How near rows are to their nearest example, and examples to their nearest row: means of
        cosines, over `ROWS` rows at most that are drawn by their weights."""
        places = drawn_by_weight(texts, weights, ROWS)
        if not len(places):
            return {}
        rows = self._embedded(texts[places])
        # Not a product of matrices: its last digit depends on how many threads share it.
        near = np.einsum("ik,jk->ij", rows, self._examples)
        return {
            "target.embedding_similarity": float(near.max(axis=1).mean()),
            "target.embedding_coverage": float(near.max(axis=0).mean()),
        }

    def _embedded(self, texts: pl.DataFrame) -> NDArray[np.float64]:
        whole = texts.select(pl.concat_str("question", "answer", separator="\n").str.strip_chars())
        return embedder(self._asset).embed(whole.to_series()).astype(np.float64)


def drawn_by_weight(
    texts: pl.DataFrame, weights: NDArray[np.float64], count: int
) -> NDArray[np.int64]:
    """The places of at most `count` different rows, each drawn with a chance by its weight.

    What is drawn depends on what the rows hold, so that alike corpora share most of it (Efraimidis
    and Spirakis 2006, "Weighted random sampling with a reservoir").
    """
    hashes, first, which = np.unique(
        texts.hash_rows(seed=0).to_numpy(), return_index=True, return_inverse=True
    )
    together = np.bincount(which, weights)
    chances = (hashes.astype(np.float64) + 1) / 2.0**64
    keys = np.full(len(hashes), np.inf)
    some = together > 0
    keys[some] = -np.log(chances[some]) / together[some]
    order = np.argsort(keys, kind="stable")[: min(count, int(some.sum()))]
    return np.sort(first[order])
