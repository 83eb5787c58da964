"""Gopher's rules against repetitive text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl

from datachef.core import Filter, threshold
from datachef.operators.text.duplicated_ngrams import DUPLICATED, REPETITION, TOP, repetition
from datachef.operators.text.lines import FILLED, LINES, PARAGRAPHS, REPEATS, repeats
from datachef.operators.text.words import WORDS, ratio

if TYPE_CHECKING:
    from datachef.core import Signal

TEXT = pl.col("text").fill_null("")
CHARS = TEXT.str.len_chars()
LINE_REPEATS = pl.col("_lines").map_batches(repeats, return_dtype=REPEATS, is_elementwise=True)
PARAGRAPH_REPEATS = PARAGRAPHS.map_batches(repeats, return_dtype=REPEATS, is_elementwise=True)


def _share(description: str, default: float) -> float:
    share: float = threshold(default, ge=0, le=1, description=f"Greatest share of {description}.")
    return share


class GopherRepetitionFilter(Filter):
    """Drops text that repeats its lines, paragraphs or n-grams of words (Gopher, table A1).

    Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446. Shares are of the characters of the
    text, or of its number of lines or paragraphs, between 0 and 1. Only what was seen before counts
    as a duplicate, not its first occurrence; duplicated n-grams are found from left to right
    without overlap. An n-gram that occurs once repeats nothing, however short the text. Blank lines
    do not count, nor do spaces at the ends of lines. N-grams are compared by 64-bit hashes. The
    thresholds were made for web pages: a short row in which two words come back may exceed them.
    """

    version: ClassVar[int] = 3

    op: Literal["gopher_repetition_filter"] = "gopher_repetition_filter"

    dup_para_frac: float = _share("paragraphs that are duplicates", 0.3)
    dup_para_char_frac: float = _share("characters in duplicate paragraphs", 0.2)
    dup_line_frac: float = _share("lines that are duplicates", 0.3)
    dup_line_char_frac: float = _share("characters in duplicate lines", 0.2)
    top_2_gram: float = _share("characters in the most frequent 2-gram", 0.2)
    top_3_gram: float = _share("characters in the most frequent 3-gram", 0.18)
    top_4_gram: float = _share("characters in the most frequent 4-gram", 0.16)
    dup_5_gram: float = _share("characters in duplicated 5-grams", 0.15)
    dup_6_gram: float = _share("characters in duplicated 6-grams", 0.14)
    dup_7_gram: float = _share("characters in duplicated 7-grams", 0.13)
    dup_8_gram: float = _share("characters in duplicated 8-grams", 0.12)
    dup_9_gram: float = _share("characters in duplicated 9-grams", 0.11)
    dup_10_gram: float = _share("characters in duplicated 10-grams", 0.1)

    def signals(self) -> Mapping[str, Signal]:
        found: dict[str, Signal] = {
            "_words": WORDS,
            "_lines": LINES,
            "_line_repeats": LINE_REPEATS,
            "_paragraph_repeats": PARAGRAPH_REPEATS,
            "_repetition": pl.col("_words").map_batches(
                repetition, return_dtype=REPETITION, is_elementwise=True
            ),
            "repetition_empty": ~TEXT.str.contains(FILLED),
        }
        for name in ("para", "line"):
            pieces = pl.col("_line_repeats" if name == "line" else "_paragraph_repeats").struct
            found[f"dup_{name}_frac"] = ratio(pieces.field("repeats"), pieces.field("count"))
            found[f"dup_{name}_char_frac"] = ratio(pieces.field("repeated_chars"), CHARS)
        ngrams = pl.col("_repetition").struct
        for n in TOP:
            found[f"top_{n}_gram"] = ratio(ngrams.field(f"top_{n}"), CHARS)
        for n in DUPLICATED:
            found[f"dup_{n}_gram"] = ratio(ngrams.field(f"duplicated_{n}"), CHARS)
        return found

    def rules(self) -> Mapping[str, pl.Expr]:
        names = ["dup_para_frac", "dup_para_char_frac", "dup_line_frac", "dup_line_char_frac"]
        names += [f"top_{n}_gram" for n in TOP] + [f"dup_{n}_gram" for n in DUPLICATED]
        rules = {name: pl.col(name) > getattr(self, name) for name in names}
        return {"empty": pl.col("repetition_empty")} | rules
