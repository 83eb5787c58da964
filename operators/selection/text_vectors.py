"""Texts as vectors of length 1: of their words and pairs of words, or embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import CorpusOperator, asset_name, embedder
from datachef.operators.models.embedding import REQUIRED, ROWS_PER_CALL
from datachef.operators.text.hashed_ngrams import flat_buckets, ngram_buckets, rarity
from datachef.operators.text.lines import FILLED

By: TypeAlias = Literal["ngrams", "embeddings"]
Vectors: TypeAlias = NDArray[np.float32]

# The column of a summary that vectors are made of.
FEATURES = "features"
# Rows that are read, and rows that are compared, at once. These are cut by the place of a row in
# the data alone: how a product of matrices rounds depends on how they are cut.
_READ, _COMPARED = 65_536, 1_024
_SIGN = np.uint16(15)


def features(texts: pl.Series, by: By, model: str) -> pl.Series:
    """What the vector of each text is made of, for a summary: the buckets of its words and pairs,
    or its embedding, of zeros where it says nothing."""
    if by == "ngrams":
        return ngram_buckets(texts).alias(FEATURES)
    encoder = embedder(model)
    some = texts.fill_null("").str.contains(FILLED)
    vectors = np.zeros((len(texts), encoder.dimensions), np.float32)
    vectors[some.to_numpy()] = encoder.embed(texts.filter(some))
    return pl.Series(FEATURES, vectors, dtype=pl.Array(pl.Float32, encoder.dimensions))


class TextVectorOperator(CorpusOperator):
    """A corpus operator that compares the vectors of texts."""

    rows_per_call: ClassVar[int | None] = ROWS_PER_CALL

    by: By = Field(
        "ngrams", description="What is compared: words and pairs of words, or embeddings (slow)."
    )
    model: str = asset_name("minilm", description="Asset with an encoder of texts, for embeddings.")

    def requires(self) -> Mapping[str, str]:
        return REQUIRED if self.by == "embeddings" else {}

    def assets(self) -> tuple[str, ...]:
        return super().assets() if self.by == "embeddings" else ()

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id", features(batch["text"], self.by, self.model))


class TextVectors:
    """Makes vectors of features; words weigh by how rare they are in `summaries` (TF-IDF of what
    occurs at all), and are hashed into `dimensions` (Weinberger et al. 2009, arXiv 0902.2206).

    The vector of a text that says nothing is zero.
    """

    def __init__(self, summaries: pl.LazyFrame, by: By, dimensions: int) -> None:
        self._summaries = summaries
        self._weights = rarity(summaries, FEATURES) if by == "ngrams" else None
        self._dimensions = dimensions

    def of(self, column: pl.Series) -> Vectors:
        """The vectors of a column of features."""
        if self._weights is None:
            embedded: Vectors = column.to_numpy()
            return embedded
        flat, offsets = flat_buckets(column)
        # Of two n-grams in one dimension the signs are as often unlike as alike.
        signs = 1.0 - 2.0 * (flat >> _SIGN)
        row = np.repeat(np.arange(len(column)), np.diff(offsets)) * self._dimensions
        whole = len(column) * self._dimensions
        places = row + flat % self._dimensions
        found = np.bincount(places, signs * self._weights[flat], whole)
        vectors = found.reshape(len(column), self._dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
        return unit

    def blocks(self) -> Iterator[Vectors]:
        """The vectors of all rows, in the order of the data."""
        start = 0
        while True:
            read = self._summaries.select(FEATURES).slice(start, _READ).collect()[FEATURES]
            for first in range(0, len(read), _COMPARED):
                yield self.of(read.slice(first, _COMPARED))
            if len(read) < _READ:
                return
            start += _READ
