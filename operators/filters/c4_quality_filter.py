"""C4's rules on pages, applied to the lines that C4 would keep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold
from datachef.operators.text.lines import LineRules, kept_lines, sentences

if TYPE_CHECKING:
    from datachef.core import Signal

FACTS = pl.Struct({"sentences": pl.Int64, "lorem_ipsum": pl.Boolean, "curly_bracket": pl.Boolean})


def page_facts(text: pl.Series, rules: LineRules) -> pl.Series:
    """Measures what the line rules leave of each text."""
    lines = kept_lines(text, rules)
    suspect = lines.filter(lines.text.str.contains(r"\{|(?i:lorem ipsum)"))
    found = {}
    for name, pattern in (("lorem_ipsum", "(?i)lorem ipsum"), ("curly_bracket", r"\{")):
        found[name] = np.zeros(len(text), np.bool_)
        found[name][suspect.document[suspect.text.str.contains(pattern).to_numpy()]] = True
    count = np.bincount(lines.document, sentences(lines.text).to_numpy(), minlength=len(text))
    return pl.DataFrame({"sentences": count.astype(np.int64), **found}).to_struct()


@lru_cache(maxsize=64)  # so that equal parameters share one expression
def _page_facts(rules: LineRules) -> pl.Expr:
    measure = partial(page_facts, rules=rules)
    return pl.col("text").map_batches(measure, return_dtype=FACTS, is_elementwise=True)


class C4QualityFilter(Filter):
    """Drops pages with few sentences, placeholder text or code, by C4's rules.

    Source: Raffel et al. 2020, https://jmlr.org/papers/v21/20-074.html. Measured on the lines that
    C4 keeps: those that end a sentence and have enough words, without JavaScript notices and
    policies. The text itself stays; `clean_c4_lines` removes the other lines. Marks that end a
    sentence are those of any script; where no spaces stand between words, every character is one.
    Thai and Lao have no such marks: each of their lines ends a sentence, and so does a space.
    """

    version: ClassVar[int] = 3

    op: Literal["c4_quality_filter"] = "c4_quality_filter"

    min_words_per_line: int = Field(
        3, ge=0, le=20, description="Words below which a line does not count."
    )
    max_word_length: int = Field(
        1000, ge=20, le=100_000, description="Characters beyond which a word spoils its line."
    )
    terminal_punctuation: bool = Field(
        True, description="Count only lines that end with a period, mark or quote."
    )
    min_sentences: int = threshold(5, ge=0, le=100, description="Least number of sentences.")
    drop_lorem_ipsum: bool = threshold(True, description="Drop pages with lorem ipsum.")
    drop_curly_bracket: bool = threshold(True, description="Drop pages with a curly bracket.")

    def signals(self) -> Mapping[str, Signal]:
        rules = LineRules(
            terminal_punctuation=self.terminal_punctuation,
            min_words=self.min_words_per_line,
            max_word_chars=self.max_word_length,
        )
        page = pl.col("_c4_page").struct
        return {
            "_c4_page": _page_facts(rules),
            "c4_sentences": page.field("sentences"),
            "c4_lorem_ipsum": page.field("lorem_ipsum"),
            "c4_curly_bracket": page.field("curly_bracket"),
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "lorem_ipsum": pl.col("c4_lorem_ipsum") & self.drop_lorem_ipsum,
            "curly_bracket": pl.col("c4_curly_bracket") & self.drop_curly_bracket,
            "too_few_sentences": pl.col("c4_sentences") < self.min_sentences,
        }
