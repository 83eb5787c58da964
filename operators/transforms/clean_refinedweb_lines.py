"""RefinedWeb's line-wise corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import TextTransform
from datachef.operators.text.lines import LINES, Lines, joined_lines
from datachef.operators.text.words import UNSPACED, document_of, offsets_of

_COUNTED = (
    "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|"
    "followers"
)
_COUNTER = rf"(?i)^\W*\d[\d,.]*[kmb]?\s+(?:{_COUNTED})\W*$"
_NAVIGATION = r"(?i)^sign-in|items in cart|read more\.\.\.$"
_WORD = rf"[{UNSPACED}]|[^\s{UNSPACED}]+"


def words_of(text: pl.Expr) -> pl.Expr:
    """The number of words; where no spaces stand between words, every character is one."""
    return text.fill_null("").str.count_matches(_WORD).cast(pl.Int64)


class CleanRefinedwebLines(TextTransform):
    """Removes lines of capitals, numbers, counters, one word or navigation, like RefinedWeb.

    Source: Penedo et al. 2023, https://arxiv.org/abs/2306.01116, appendix G.2, as DCLM carries it
    out (Li et al. 2024, https://arxiv.org/abs/2406.11794,
    https://github.com/mlfoundations/dclm/blob/main/baselines/mappers/modifiers.py). A text that
    loses more than a twentieth of its words was mostly such lines, and is dropped. Blank lines
    stay. A counter (3 likes) is in English, as are the words of navigation, which make a line go
    that has few words.
    """

    op: Literal["clean_refinedweb_lines"] = "clean_refinedweb_lines"

    max_capitals: float = Field(
        0.5, ge=0, le=1, description="Share of capitals from beyond which a line is removed."
    )
    min_words_per_line: int = Field(2, ge=0, le=20, description="Least number of words of a line.")
    max_navigation_words: int = Field(
        10,
        ge=0,
        le=100,
        description="Most words of a line that words of navigation remove.",
    )
    max_removed_words: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Greatest share of words that a text may lose and stay.",
    )

    def rewrite(self, text: pl.Series) -> pl.Series:
        lists = text.to_frame("text").select(LINES).to_series()
        document = document_of(offsets_of(lists.list.len()))
        lines = Lines(lists.explode(empty_as_null=False), document)
        kept = lines.filter(lines.text.to_frame("line").select(self._stays())["line"])
        return joined_lines(kept, len(text)).str.strip_chars()

    def _stays(self) -> pl.Expr:
        line, words = pl.col("line"), words_of(pl.col("line"))
        blank = line.str.strip_chars() == ""
        capitals = line.str.count_matches(r"\p{Lu}") > line.str.len_chars() * self.max_capitals
        number = line.str.contains(r"^\s*\p{Nd}+\s*$")
        navigation = line.str.contains(_NAVIGATION) & (words <= self.max_navigation_words)
        few = words < self.min_words_per_line
        return blank | ~(capitals | number | line.str.contains(_COUNTER) | navigation | few)

    def rules(self) -> Mapping[str, pl.Expr]:
        before = words_of(pl.col("text"))
        lost = before - words_of(pl.col("rewritten"))
        some_left = pl.col("rewritten").is_not_null()
        return {"too_many_words_removed": some_left & (lost > before * self.max_removed_words)}
