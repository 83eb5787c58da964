"""Rows that mean nearly the same, by the embeddings of their texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import Context, Size, asset_name, embedder
from datachef.operators.dedup.copies import Copies
from datachef.operators.dedup.keep_rule import RowDedup
from datachef.operators.models.embedding import REQUIRED, ROWS_PER_CALL
from datachef.operators.text.lines import FILLED

# Rows of each cluster that k-means looks at, and how often.
_ROWS_OF_A_CLUSTER = 64
_ITERATIONS = 20
# Rows whose embeddings are in memory at once: 300 MB of 384 dimensions.
_ROWS_AT_ONCE = 200_000
# Of a small encoder: how many another has is known where it is.
_DIMENSIONS = 384
# How far from 1 the similarity of equal texts may be computed.
_ROUNDING = 1e-5

Vectors = NDArray[np.float32]


class SemanticDedup(RowDedup):
    """Drops a row whose text means nearly the same as that of a row that stays.

    SemDeDup (Abbas et al. 2023, https://arxiv.org/abs/2303.09540): embeddings are put into clusters
    by k-means, and within a cluster a row goes whose cosine similarity to a row that stays is high
    enough. Of several the `keep` rule decides which one stays, where the paper keeps the one that
    is farthest from the middle of the cluster; and like there, pairs in two clusters are not found.
    MiniLM reads English, and of a text the first 256 tokens: of long documents it compares the
    beginnings. Rows without text stay.
    """

    not_for_policies: ClassVar[str] = (
        "Hundreds of rows take a minute, and a policy tries many recipes."
    )
    rows_per_call: ClassVar[int | None] = ROWS_PER_CALL

    op: Literal["semantic_dedup"] = "semantic_dedup"
    similarity: float = Field(
        0.95,
        ge=0.5,
        le=1.0,
        examples=[0.8, 0.85, 0.9, 0.95, 0.98],
        description="Cosine similarity to a row that stays from which one goes.",
    )
    cluster_rows: int = Field(
        1_000,
        ge=10,
        le=100_000,
        description="Rows of a cluster on average; larger ones find more pairs in more time.",
    )
    model: str = asset_name("minilm", description="Asset with an encoder of texts.")

    def reasons(self) -> tuple[str, ...]:
        return ("same_meaning",)

    def requires(self) -> Mapping[str, str]:
        return REQUIRED

    def columns(self, batch: pl.DataFrame) -> list[pl.Series]:
        encoder = embedder(self.model)
        text = batch["text"].fill_null("")
        some = text.str.contains(FILLED)
        vectors = np.zeros((batch.height, encoder.dimensions), np.float32)
        vectors[some.to_numpy()] = encoder.embed(text.filter(some))
        kind = pl.Array(pl.Float32, encoder.dimensions)
        return [pl.Series("embedding", vectors, dtype=kind), some.alias("filled")]

    def decision_bytes(self, size: Size) -> tuple[float, float]:
        memory, disk = super().decision_bytes(size)
        each = 4 * _DIMENSIONS
        return memory + 2 * each * min(size.rows, _ROWS_AT_ONCE), disk + each * size.rows

    def copies(self, summaries: pl.LazyFrame, context: Context) -> Copies:
        rows = summaries.with_row_index("row").filter("filled").drop("filled")
        rank = ["rank"] if "rank" in summaries.collect_schema().names() else []
        order = rows.select("row", *rank).collect(engine="streaming").sort("row")
        if not order.height:
            return Copies(np.zeros(0, np.int64), np.zeros(0, np.int64))
        clusters = _Clusters(rows, order["row"], self.cluster_rows, context.seed)
        order = order.with_columns(clusters.assigned()).sort(
            "cluster", pl.col("row") >= context.references, *rank, "row",
            descending=[False, False, *(True for _ in rank), False], nulls_last=True,
        )  # fmt: skip
        found = [pl.DataFrame(schema={"row": pl.UInt32, "first": pl.UInt32})]
        for part in _together(order):
            table = part.lazy().join(
                rows.select("row", "embedding"), on="row", how="left", maintain_order="left"
            )
            embedded = table.collect(engine="streaming")
            for cluster in embedded.partition_by("cluster", maintain_order=True):
                first = _owners(cluster["embedding"].to_numpy(), self.similarity)
                copies = (first >= 0) & (cluster["row"].to_numpy() >= context.references)
                row, owner = cluster["row"].filter(pl.Series(copies)), cluster["row"][first[copies]]
                found.append(pl.DataFrame([row, owner.alias("first")]))
        gone = pl.concat(found, how="vertical_relaxed").sort("row").cast(pl.Int64)
        return Copies(gone["row"].to_numpy(), gone["first"].to_numpy())


class _Clusters:
    """Clusters of embeddings by k-means on the sphere, of `size` rows on average."""

    def __init__(self, rows: pl.LazyFrame, index: pl.Series, size: int, seed: int) -> None:
        self._rows = rows
        self._count = len(index)
        number = -(-self._count // size)
        chance = np.random.default_rng(seed)
        most = min(self._count, number * _ROWS_OF_A_CLUSTER)
        places = np.sort(chance.choice(self._count, most, replace=False))
        sample = pl.DataFrame([index[places]]).lazy().join(rows, on="row").sort("row")
        points = sample.collect(engine="streaming")["embedding"].to_numpy()
        self._centers = points[np.sort(chance.choice(most, number, replace=False))]
        for _ in range(_ITERATIONS if number > 1 else 0):
            nearest = self._nearest(points)
            sums = np.zeros_like(self._centers)
            np.add.at(sums, nearest, points)
            lengths = np.linalg.norm(sums, axis=1, keepdims=True)
            self._centers = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), self._centers)

    def assigned(self) -> pl.Series:
        """The number of the cluster of every row, in the order of the data."""
        parts = []
        for start in range(0, self._count, _ROWS_AT_ONCE):
            part = self._rows.select("embedding").slice(start, _ROWS_AT_ONCE).collect()
            parts.append(self._nearest(part["embedding"].to_numpy()))
        return pl.Series("cluster", np.concatenate(parts))

    def _nearest(self, points: Vectors) -> NDArray[np.int64]:
        step = max(1, 50_000_000 // len(self._centers))
        parts = [
            np.argmax(points[start : start + step] @ self._centers.T, axis=1)
            for start in range(0, len(points), step)
        ]
        return np.concatenate(parts)


def _together(order: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole clusters, as many as fit into memory at once."""
    sizes = order.group_by("cluster", maintain_order=True).len()["len"].to_numpy()
    start = stop = 0
    for size in sizes:
        if stop > start and stop + size - start > _ROWS_AT_ONCE:
            yield order[start:stop]
            start = stop
        stop += int(size)
    if stop > start:
        yield order[start:stop]


def _owners(vectors: Vectors, similarity: float) -> NDArray[np.int64]:
    """For each row of a cluster the first that stays and is like it; -1 of one that stays."""
    owner = np.full(len(vectors), -1, np.int64)
    for row in range(len(vectors) - 1):
        if owner[row] < 0:
            later = np.flatnonzero(owner[row + 1 :] < 0) + row + 1
            alike = later[vectors[later] @ vectors[row] >= similarity - _ROUNDING]
            owner[alike] = row
    return owner
