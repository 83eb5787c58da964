"""Limits on the size of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl

from datachef.core import Filter, threshold
from datachef.operators.text.lines import FILLED_LINE
from datachef.operators.text.words import WORD_COUNT

if TYPE_CHECKING:
    from datachef.core import Signal


class LengthFilter(Filter):
    """Drops text that is too short or too long, in characters, words or lines.

    Words are those of the other filters, with punctuation marks. A maximum of 0 is no limit.
    """

    version: ClassVar[int] = 3

    op: Literal["length_filter"] = "length_filter"

    min_chars: int = threshold(1, ge=0, le=1_000_000, description="Least number of characters.")
    max_chars: int = threshold(
        0, ge=0, le=1_000_000_000, description="Greatest number of characters; 0: no limit."
    )
    min_words: int = threshold(0, ge=0, le=100_000, description="Least number of words.")
    max_words: int = threshold(
        0, ge=0, le=100_000_000, description="Greatest number of words; 0: no limit."
    )
    min_lines: int = threshold(0, ge=0, le=10_000, description="Least number of lines with text.")
    max_lines: int = threshold(
        0, ge=0, le=10_000_000, description="Greatest number of lines with text; 0: no limit."
    )

    def signals(self) -> Mapping[str, Signal]:
        text = pl.col("text").fill_null("")
        return {
            "length_chars": text.str.len_chars(),
            "length_words": WORD_COUNT,
            "length_lines": text.str.count_matches(FILLED_LINE),
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        rules = {}
        for unit in ("chars", "words", "lines"):
            size, most = pl.col(f"length_{unit}"), getattr(self, f"max_{unit}")
            rules[f"too_few_{unit}"] = size < getattr(self, f"min_{unit}")
            rules[f"too_many_{unit}"] = (size > most) & pl.lit(most > 0)
        return rules
