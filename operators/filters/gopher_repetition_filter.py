"""Gopher's rules against repetitive text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold
from datachef.operators.text.duplicated_ngrams import DUPLICATED, REPETITION, TOP, repetition
from datachef.operators.text.lines import FILLED, LINES, PARAGRAPHS, REPEATS, repeats
from datachef.operators.text.words import WORDS, ratio

if TYPE_CHECKING:
    from datachef.core import Signal

TEXT = pl.col("text").fill_null("")
CHARS = TEXT.str.len_chars()


def _repeats(pieces: pl.Expr, *, exact: bool = False) -> pl.Expr:
    found = partial(repeats, exact=exact)
    return pieces.map_batches(found, return_dtype=REPEATS, is_elementwise=True)


def _ngrams(*, single: bool = False) -> pl.Expr:
    found = partial(repetition, single=single)
    return pl.col("_words").map_batches(found, return_dtype=REPETITION, is_elementwise=True)


_LINES = TEXT.str.replace_all("\n\n+", "\n").str.split("\n")
_PARAGRAPHS = TEXT.str.strip_chars().str.replace_all("\n\n\n+", "\n\n").str.split("\n\n")

COUNTED: Mapping[str, Mapping[str, Signal]] = {
    "repeats": {
        "_lines": LINES,
        "_line_repeats": _repeats(pl.col("_lines")),
        "_paragraph_repeats": _repeats(PARAGRAPHS),
        "_repetition": _ngrams(),
        "repetition_empty": ~TEXT.str.contains(FILLED),
    },
    "datatrove": {
        "_line_repeats": _repeats(_LINES, exact=True),
        "_paragraph_repeats": _repeats(_PARAGRAPHS, exact=True),
        "_repetition": _ngrams(single=True),
        "repetition_empty": TEXT.str.len_bytes() == 0,
    },
}


def _share(description: str, default: float) -> float:
    share: float = threshold(default, ge=0, le=1, description=f"Greatest share of {description}.")
    return share


class GopherRepetitionFilter(Filter):
    """Drops text that repeats its lines, paragraphs or n-grams of words (Gopher, table A1).

    Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446. Shares are of the characters of the
    text, or of its number of lines or paragraphs, between 0 and 1. Only what was seen before counts
    as a duplicate, not its first occurrence; duplicated n-grams are found from left to right
    without overlap. N-grams are compared by 64-bit hashes. The thresholds were made for web pages:
    a short row in which two words come back may exceed them.

    The paper leaves open what datatrove (https://github.com/huggingface/datatrove), which made
    FineWeb, counts besides: lines of spaces as lines, and an n-gram that occurs once as the most
    frequent one, so that it drops short texts in which nothing is repeated. Here both count only
    with `counting: datatrove`; else blank lines do not, nor do spaces at the ends of lines, and
    all that ends a line in Unicode ends one.
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
    counting: Literal["repeats", "datatrove"] = Field(
        "repeats",
        description="repeats: what is seen again; datatrove: as there, with blank lines and the "
        "most frequent n-gram even where it occurs once.",
    )

    def signals(self) -> Mapping[str, Signal]:
        found: dict[str, Signal] = {"_words": WORDS, **COUNTED[self.counting]}
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
