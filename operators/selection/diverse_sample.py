"""Rows that cover the corpus: none much like another, or each row near one that stays."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import Context, rows_dropped, sampling_priorities
from datachef.operators.selection.sample import ShareSelection
from datachef.operators.selection.strata import allocated
from datachef.operators.selection.text_vectors import (
    FEATURES,
    TextVectorOperator,
    TextVectors,
    Vectors,
)

# Of hashed n-grams: a chance similarity of two texts is about .03.
_DIMENSIONS = 1_024
# Where fewer rows are wanted they are chosen in rounds, of which each keeps this share.
_ROUND = 0.1
# Rows whose features are in memory at once.
_ROWS_AT_ONCE = 50_000

Places = NDArray[np.int64]


class DiverseSample(TextVectorOperator, ShareSelection):
    """Keeps rows that differ from one another, so that a smaller corpus covers the whole.

    `k_center` takes again and again the row that is farthest from all that are taken (Gonzalez's
    greedy algorithm, as in Sener and Savarese 2018, https://arxiv.org/abs/1708.00489): outliers
    stay. `facility_location` takes the row that most raises the similarity of all rows to the
    nearest that is taken (Wei et al. 2015, https://proceedings.mlr.press/v37/wei15.html), by lazy
    greedy selection: typical rows stay, one of each kind. Rows are compared by cosine similarity of
    their words and pairs of words (TF-IDF), or of embeddings by MiniLM, which reads English and the
    first 256 tokens of a text. Rows without text stay last.

    Time and memory are bounded by comparing rows in random parts of `compared_rows`, each of which
    gives its share (two rows of different parts may be alike): some minutes for a million rows, and
    four bytes for each pair of rows of a part. Where less than a tenth is to stay, a tenth of each
    part is taken, and these are cut into parts again (as in GreeDi, Mirzasoleiman et al. 2013).
    """

    op: Literal["diverse_sample"] = "diverse_sample"
    share: float = Field(0.5, ge=0.001, le=1.0, description="Share of the rows to keep.")
    method: Literal["k_center", "facility_location"] = Field(
        "k_center", description="Take what is farthest from the taken, or what stands for most."
    )
    compared_rows: int = Field(
        2_000,
        ge=100,
        le=10_000,
        examples=[1_000, 2_000, 4_000],
        description="Rows of a part; time and memory grow with it.",
    )

    def reasons(self) -> tuple[str, ...]:
        return ("like_others",)

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        # In this order parts are cut: each is a random part of the corpus.
        chance = np.argsort(sampling_priorities(summaries, context.seed), kind="stable")
        wanted = self.quota(len(chance))
        vectors = TextVectors(summaries, self.by, _DIMENSIONS)
        indexed = summaries.with_row_index("row").select("row", FEATURES)
        left = chance
        while len(left) > wanted:
            number = -(-len(left) // self.compared_rows)
            enough = wanted if number == 1 else max(wanted, int(len(left) * _ROUND))
            left = self._round(indexed, vectors, left, number, enough)
        gone = np.ones(len(chance), np.bool_)
        gone[left] = False
        return rows_dropped(summaries, gone, "like_others")

    def _round(
        self, indexed: pl.LazyFrame, vectors: TextVectors, rows: Places, number: int, wanted: int
    ) -> Places:
        """The given number of rows, from each part in proportion to its size; in their order."""
        parts = np.array_split(rows, number)
        sizes = np.array([len(part) for part in parts])
        quotas = allocated(sizes, sizes.astype(np.float64), wanted)
        kept = []
        for together in _together(parts):
            table = _features_of(indexed, np.concatenate([parts[place] for place in together]))
            start = 0
            for place in together:
                own = vectors.of(table.slice(start, sizes[place]))
                start += sizes[place]
                kept.append(parts[place][self._chosen(own, int(quotas[place]))])
        return np.concatenate(kept)

    def _chosen(self, vectors: Vectors, number: int) -> Places:
        """The places of the `number` rows chosen from one part, in their order."""
        filled = vectors.any(axis=1)
        some, empty = np.flatnonzero(filled), np.flatnonzero(~filled)
        choose = _k_center if self.method == "k_center" else _facility_location
        taken = choose(vectors[some] @ vectors[some].T, min(number, len(some)))
        return np.sort(np.concatenate([some[taken], empty[: number - len(taken)]]))


def _together(parts: list[Places]) -> Iterator[list[int]]:
    """Numbers of parts, as many as fit into memory at once."""
    size = max(1, _ROWS_AT_ONCE // max(len(parts[0]), 1))
    for start in range(0, len(parts), size):
        yield list(range(start, min(start + size, len(parts))))


def _features_of(indexed: pl.LazyFrame, rows: Places) -> pl.Series:
    asked = pl.DataFrame({"row": pl.Series(rows, dtype=pl.UInt32)}).lazy()
    return asked.join(indexed, on="row", how="left", maintain_order="left").collect()[FEATURES]


def _k_center(similar: Vectors, number: int) -> Places:
    """Begins with the row that is most similar to all; of equal ones the first is taken."""
    taken = np.empty(number, np.int64)
    nearest = -similar.sum(axis=1)
    for place in range(number):
        taken[place] = best = int(np.argmin(nearest))
        nearest = similar[best] if place == 0 else np.maximum(nearest, similar[best])
        nearest[taken[: place + 1]] = np.inf
    return taken


def _facility_location(similar: Vectors, number: int) -> Places:
    """Lazy greedy (Minoux 1978): what a row adds only shrinks, so that only those rows are computed
    again that added most when they were last."""
    similar = np.maximum(similar, 0)
    nearest = np.zeros(len(similar), np.float32)
    gains = similar.sum(axis=1, dtype=np.float64)
    queue = [(-gain, row) for row, gain in enumerate(gains.tolist())]
    heapify(queue)
    taken = np.empty(number, np.int64)
    for place in range(number):
        row, computed = queue[0][1], False
        while not computed:
            gain = np.maximum(similar[row] - nearest, 0).sum(dtype=np.float64)
            heapreplace(queue, (-float(gain), row))
            computed, row = queue[0][1] == row, queue[0][1]
        taken[place] = row
        np.maximum(nearest, similar[row], out=nearest)
        heappop(queue)
    return taken
