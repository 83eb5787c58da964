"""FineWeb's rules on the lines of a text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold
from datachef.operators.text.lines import FILLED, repeats
from datachef.operators.text.words import (
    SENTENCE_ENDS,
    UNMARKED,
    WORD_COUNT,
    offsets_of,
    ratio,
    sums,
)

if TYPE_CHECKING:
    from datachef.core import Signal

NEWLINE_LINES = pl.col("text").fill_null("").str.split("\n")
FACTS = pl.Struct(
    dict.fromkeys(("lines", "ended", "short", "newlines", "chars", "repeated_chars"), pl.Int64)
)


def line_facts(lines: pl.Series, short_chars: int) -> pl.Series:
    """Measures the lines of each text that are not blank, and counts newlines and characters."""
    offsets = offsets_of(lines.list.len())
    flat = lines.explode(empty_as_null=False, keep_nulls=False)
    filled = flat.str.contains(FILLED)
    chars = flat.str.len_chars()
    ended = flat.str.contains(rf"[{SENTENCE_ENDS}{UNMARKED}]$")
    facts = {
        "lines": sums(filled.to_numpy(), offsets),
        "ended": sums((ended & filled).to_numpy(), offsets),
        "short": sums(((chars <= short_chars) & filled).to_numpy(), offsets),
        "newlines": np.diff(offsets) - 1,
        "chars": sums(chars.to_numpy(), offsets),
        "repeated_chars": repeats(lines, filled).struct.field("repeated_chars"),
    }
    return pl.DataFrame(facts).to_struct()


@lru_cache(maxsize=64)  # so that equal parameters share one expression
def _line_facts(short_chars: int) -> pl.Expr:
    measure = partial(line_facts, short_chars=short_chars)
    return pl.col("_newline_lines").map_batches(measure, return_dtype=FACTS, is_elementwise=True)


class FineWebQualityFilter(Filter):
    """Drops text whose lines are lists, fragments or repetitions (FineWeb).

    Source: Penedo et al. 2024, https://arxiv.org/abs/2406.17557, section 3.5. Ratios are of the
    lines that are not blank, of the characters without newlines, and of the words. Terminal
    punctuation is that of any script, as the last character of the line; Thai and Lao
    have none, and each of their lines ends a sentence. As in datatrove, with which FineWeb was
    made, newlines alone end lines: `fix_unicode` and `clean_c4_lines`, which stands before this
    filter in FineWeb, make newlines of carriage returns and other ends.
    """

    version: ClassVar[int] = 4

    op: Literal["fineweb_quality_filter"] = "fineweb_quality_filter"

    short_line_length: int = Field(
        30, ge=1, le=1000, description="Characters up to which a line is short."
    )
    min_ended_lines: float = threshold(
        0.12, ge=0, le=1, description="Least share of lines that end with terminal punctuation."
    )
    max_short_lines: float = threshold(
        0.67, ge=0, le=1, description="Greatest share of short lines."
    )
    max_repeated_chars: float = threshold(
        0.01, ge=0, le=1, description="Greatest share of characters in lines seen before."
    )
    max_newline_ratio: float = threshold(
        0.3, ge=0, le=10, description="Greatest number of newlines per word."
    )

    def signals(self) -> Mapping[str, Signal]:
        lines = pl.col("_fineweb_lines").struct
        return {
            "_newline_lines": NEWLINE_LINES,
            "_fineweb_lines": _line_facts(self.short_line_length),
            "fineweb_lines": lines.field("lines"),
            "fineweb_ended_lines": ratio(lines.field("ended"), lines.field("lines")),
            "fineweb_short_lines": ratio(lines.field("short"), lines.field("lines")),
            "fineweb_repeated_chars": ratio(lines.field("repeated_chars"), lines.field("chars")),
            "fineweb_newline_ratio": ratio(lines.field("newlines"), WORD_COUNT),
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "empty": pl.col("fineweb_lines") == 0,
            "too_few_ended_lines": pl.col("fineweb_ended_lines") < self.min_ended_lines,
            "too_many_short_lines": pl.col("fineweb_short_lines") > self.max_short_lines,
            "too_many_repeated_chars": pl.col("fineweb_repeated_chars") > self.max_repeated_chars,
            "too_many_newlines": pl.col("fineweb_newline_ratio") > self.max_newline_ratio,
        }
