"""Gopher's rules for text that is prose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold
from datachef.operators.text.byte_words import lengths_and_first_bytes
from datachef.operators.text.lines import LINES
from datachef.operators.text.stop_words import StopWordLanguage, different_stop_words
from datachef.operators.text.words import SEGMENTED, SYMBOLS, WORDS, offsets_of, ratio, sums

if TYPE_CHECKING:
    from datachef.core import Signal

# A Chinese, Japanese or Korean character, as wide as two letters.
DOUBLE_WIDTH = (
    r"[\x{1100}-\x{11ff}\x{2e80}-\x{303e}\x{3041}-\x{a4cf}\x{ac00}-\x{d7ff}\x{f900}-\x{faff}]"
)

_A, _ZERO = np.uint8(ord("a")), np.uint8(ord("0"))


def word_facts(words: pl.Series) -> pl.Series:
    """Words, and of those with more than symbols the number and the width in letters; how many have
    letters, and of how many: where no spaces stand between words, of characters."""
    offsets = offsets_of(words.list.len())
    flat = words.explode(empty_as_null=False, keep_nulls=False)
    length, first = lengths_and_first_bytes(flat)
    letters = (first | 0x20) - _A < 26
    plain = letters | (first - _ZERO < 10)
    width = flat.str.len_chars().to_numpy() * plain
    # Few words neither begin with an ASCII letter nor are one character: only these need a regex.
    other = np.flatnonzero(~letters & (length > 1))
    rest = flat.gather(other)
    letters[other] = rest.str.contains(r"\pL").to_numpy()
    plain[other] = rest.str.contains(rf"[^{SYMBOLS}]").to_numpy()
    wide = rest.str.len_chars() + rest.str.count_matches(DOUBLE_WIDTH)
    width[other] = wide.to_numpy() * plain[other]
    pieces = np.ones(len(flat), np.uint32)
    pieces[other] = rest.str.count_matches(f"[{SEGMENTED}]").clip(1).to_numpy()
    return pl.DataFrame(
        {
            "words": np.diff(offsets),
            "plain": sums(plain, offsets),
            "width": sums(width, offsets),
            "letters": sums(letters * pieces, offsets),
            "pieces": sums(pieces, offsets),
        }
    ).to_struct()


def line_facts(lines: pl.Series) -> pl.Series:
    """Lines, lines that begin with a bullet point, lines that end with an ellipsis."""
    offsets = offsets_of(lines.list.len())
    flat = lines.explode(empty_as_null=False, keep_nulls=False)
    begin, end = flat.str.strip_chars_start(), flat.str.strip_chars_end()
    bullets = begin.str.starts_with("•") | begin.str.starts_with("-")
    ellipses = end.str.ends_with("...") | end.str.ends_with("…")
    last_empty = flat.gather(offsets[1:] - 1).str.len_bytes() == 0
    return pl.DataFrame(
        {
            "lines": np.diff(offsets) - last_empty.to_numpy(),
            "bullets": sums(bullets.to_numpy(), offsets),
            "ellipses": sums(ellipses.to_numpy(), offsets),
        }
    ).to_struct()


WORD_FACTS = pl.col("_words").map_batches(
    word_facts,
    return_dtype=pl.Struct(
        dict.fromkeys(("words", "plain", "width", "letters", "pieces"), pl.Int64)
    ),
    is_elementwise=True,
)
LINE_FACTS = pl.col("_lines").map_batches(
    line_facts,
    return_dtype=pl.Struct(dict.fromkeys(("lines", "bullets", "ellipses"), pl.Int64)),
    is_elementwise=True,
)


class GopherQualityFilter(Filter):
    """Drops text that is not prose: too short, odd words, symbols, bullets, ellipses (Gopher).

    Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446, section A1.1. Words of symbols alone
    count neither for the length nor for the mean length, and punctuation marks are words for the
    ratios. The defaults are the paper's, for English web pages. Questions with answers may be
    shorter than `min_words` and have more numbers than `min_alpha_words` lets through.

    The paper's eight stop words are English; other languages have those of FineWeb2 (Penedo et al.
    2025, https://arxiv.org/abs/2506.20920). For a language that is not offered set `min_stop_words`
    to 0. Where no spaces stand between words, two characters of Chinese or Japanese and five of
    Thai, Lao, Khmer or Burmese make a word, nearly their mean; `min_alpha_words` counts single
    ones. A Chinese, Japanese or Korean character is as long as two letters.
    """

    version: ClassVar[int] = 3

    op: Literal["gopher_quality_filter"] = "gopher_quality_filter"

    min_words: int = threshold(50, ge=0, le=10_000, description="Least number of words.")
    max_words: int = threshold(
        100_000, ge=1, le=100_000_000, description="Greatest number of words."
    )
    min_mean_word_length: float = threshold(
        3, ge=0, le=20, description="Least mean length of the words in characters."
    )
    max_mean_word_length: float = threshold(
        10, ge=1, le=100, description="Greatest mean length of the words in characters."
    )
    max_symbol_ratio: float = threshold(
        0.1, ge=0, le=1, description="Greatest number of hashes, or of ellipses, per word."
    )
    max_bullet_lines: float = threshold(
        0.9, ge=0, le=1, description="Greatest share of lines that begin with a bullet point."
    )
    max_ellipsis_lines: float = threshold(
        0.3, ge=0, le=1, description="Greatest share of lines that end with an ellipsis."
    )
    min_alpha_words: float = threshold(
        0.8, ge=0, le=1, description="Least share of words that contain a letter."
    )
    min_stop_words: int = threshold(
        2, ge=0, le=8, description="Least number of different stop words."
    )
    language: StopWordLanguage = Field(
        "auto", description="Language of the stop words; auto: English, or that of the script."
    )

    def signals(self) -> Mapping[str, Signal]:
        words, lines = pl.col("_gopher_words").struct, pl.col("_gopher_lines").struct
        text = pl.col("text").fill_null("")
        ellipses = text.str.count_matches("...", literal=True) + text.str.count_matches(
            "…", literal=True
        )
        return {
            "_words": WORDS,
            "_lines": LINES,
            "_gopher_words": WORD_FACTS,
            "_gopher_lines": LINE_FACTS,
            "gopher_words": words.field("plain"),
            "gopher_mean_word_length": ratio(words.field("width"), words.field("plain")),
            "gopher_hash_ratio": ratio(
                text.str.count_matches("#", literal=True), words.field("words")
            ),
            "gopher_ellipsis_ratio": ratio(ellipses, words.field("words")),
            "gopher_bullet_lines": ratio(lines.field("bullets"), lines.field("lines")),
            "gopher_ellipsis_lines": ratio(lines.field("ellipses"), lines.field("lines")),
            "gopher_alpha_words": ratio(words.field("letters"), words.field("pieces")),
            "gopher_stop_words": different_stop_words(self.language),
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        length = pl.col("gopher_mean_word_length")
        return {
            "too_few_words": pl.col("gopher_words") < self.min_words,
            "too_many_words": pl.col("gopher_words") > self.max_words,
            "low_mean_word_length": length < self.min_mean_word_length,
            "high_mean_word_length": length > self.max_mean_word_length,
            "too_many_hashes": pl.col("gopher_hash_ratio") > self.max_symbol_ratio,
            "too_many_ellipses": pl.col("gopher_ellipsis_ratio") > self.max_symbol_ratio,
            "too_many_bullet_lines": pl.col("gopher_bullet_lines") > self.max_bullet_lines,
            "too_many_ellipsis_lines": (pl.col("gopher_ellipsis_lines") > self.max_ellipsis_lines),
            "too_few_alpha_words": pl.col("gopher_alpha_words") < self.min_alpha_words,
            "too_few_stop_words": pl.col("gopher_stop_words") < self.min_stop_words,
        }
