"""The share of n-grams of characters that come back."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.characters import code_points
from datachef.operators.text.ngrams import repeated_ngrams

_BITS = 32
_MOST = (1 << _BITS) - 1


def repetition(text: pl.Series, n: int) -> pl.Series:
    """The share of the most frequent n-grams among all, for each text; 0 where there are none.

    The most frequent ones are as many as the square root of the number of different n-grams, of
    those that occur more than once.
    """
    total, document, counts = repeated_ngrams(*code_points(text), n)
    repeated = np.bincount(document, minlength=len(text))
    occurrences = np.bincount(document, counts, minlength=len(text)).astype(np.int64)
    frequent = np.sqrt(total - occurrences + repeated).astype(np.int64)
    # In each text from the most frequent one on; one number is sorted faster than two.
    descending = pl.Series((document << _BITS) + (_MOST - counts)).sort().to_numpy()
    running = np.append(0, np.cumsum(_MOST - (descending & _MOST)))
    first = np.cumsum(repeated) - repeated
    share = running[first + np.minimum(frequent, repeated)] - running[first]
    return pl.Series(text.name, share / np.maximum(total, 1), dtype=pl.Float64)


@lru_cache(maxsize=64)  # so that equal parameters share one expression
def _repetition(n: int) -> pl.Expr:
    return pl.col("text").fill_null("").map_batches(
        partial(repetition, n=n), return_dtype=pl.Float64, is_elementwise=True
    )  # fmt: skip


class CharacterRepetitionFilter(RangeFilter):
    """Drops text in which the same runs of characters come back again and again.

    Source: `character_repetition_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033), after the filters of ROOTS (Laurençon et al. 2022,
    https://arxiv.org/abs/2303.03915). The share of the most frequent n-grams of characters among
    all n-grams; the most frequent ones are as many as the square root of the number of different
    n-grams, of those that occur more than once.
    """

    op: Literal["character_repetition_filter"] = "character_repetition_filter"
    quantity: ClassVar[str] = "character_repetition"

    ngram: int = Field(10, ge=1, le=100, description="Characters per n-gram.")
    min: float = threshold(0, ge=0, le=1, examples=[0], description="Least share of the n-grams.")
    max: float = threshold(
        0.5, ge=0, le=1, examples=[0.1, 0.2, 0.3, 0.5], description="Greatest share of the n-grams."
    )

    def measurement(self) -> pl.Expr:
        return _repetition(self.ngram)
