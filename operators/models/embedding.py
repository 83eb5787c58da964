"""What operators that embed texts share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import polars as pl

from datachef.core import embedder, extra

# What operators that embed texts need.
REQUIRED: Mapping[str, str] = {name: extra("models") for name in ("torch", "transformers")}
# Rows of one call of an operator that embeds: seconds, not minutes.
ROWS_PER_CALL = 256


@lru_cache(maxsize=64)  # so that equal parameters share one expression
def embeddings(asset: str, dimensions: int = 384) -> pl.Expr:
    """The embedding of `text` as an array of floats, for the intermediate `_embedding`."""
    kind = pl.Array(pl.Float32, dimensions)

    def computed(texts: pl.Series) -> pl.Series:
        return pl.Series(texts.name, embedder(asset).embed(texts), dtype=kind)

    return pl.col("text").map_batches(computed, return_dtype=kind, is_elementwise=True)
