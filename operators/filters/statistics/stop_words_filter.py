"""The share of stop words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.word_lists import share_listed
from datachef.operators.text.words import PLAIN_WORDS

Language = Literal[
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu",
    "id", "it", "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "sw", "th", "tr", "uk", "ur",
    "vi", "zh",
]  # fmt: skip


@lru_cache(maxsize=64)
def _stop_words(language: str) -> pl.Series:
    import stopwordsiso

    return pl.Series(sorted(stopwordsiso.stopwords(language)))


class StopWordsFilter(RangeFilter):
    """Drops text with too few stop words of a language: no sentences, or another language.

    Source: `stopwords_filter` of Data-Juicer (Chen et al. 2024, https://arxiv.org/abs/2309.02033),
    after the filters of ROOTS (Laurençon et al. 2022, https://arxiv.org/abs/2303.03915). The share
    of the words that are in the list of stopwords-iso; the default is for English. In scripts
    without spaces every character is a word, and only stop words of one character are found.
    """

    op: Literal["stop_words_filter"] = "stop_words_filter"
    quantity: ClassVar[str] = "stop_word_share"

    language: Language = Field("en", description="Language of the stop words, by code.")
    min: float = threshold(
        0.3, ge=0, le=1, examples=[0.1, 0.2, 0.3], description="Least share of the words."
    )
    max: float = threshold(
        1, ge=0, le=1, examples=[0.8, 1], description="Greatest share of the words."
    )

    def requires(self) -> Mapping[str, str]:
        return {"stopwordsiso": "stopwordsiso"}

    def intermediates(self) -> Mapping[str, pl.Expr]:
        return {"_plain_words": PLAIN_WORDS}

    def measurement(self) -> pl.Expr:
        return share_listed(pl.col("_plain_words"), _stop_words(self.language))
