"""C4's removal of lines."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import TextTransform
from datachef.operators.text.lines import LineRules, joined_lines, kept_lines


class CleanC4Lines(TextTransform):
    """Removes lines that do not end a sentence, menus, JavaScript notices and policies, like C4.

    Source: Raffel et al. 2020, https://jmlr.org/papers/v21/20-074.html. Kept lines lose spaces at
    their ends and citations such as [3]; a text of which no line is kept is dropped. C4 drops whole
    pages by `c4_quality_filter`, which measures the same lines before and after this step. A line
    ends a sentence with a mark of any script or a closing quote, and not with an ellipsis.
    """

    version: ClassVar[int] = 3

    op: Literal["clean_c4_lines"] = "clean_c4_lines"

    terminal_punctuation: bool = Field(
        True, description="Keep only lines that end with a period, mark or quote."
    )
    min_words_per_line: int = Field(3, ge=0, le=20, description="Least number of words of a line.")
    max_word_length: int = Field(
        1000, ge=20, le=100_000, description="Characters beyond which a word spoils its line."
    )
    drop_javascript: bool = Field(True, description="Remove lines that mention JavaScript.")
    drop_policy: bool = Field(
        True, description="Remove lines about cookies, privacy and terms of use."
    )
    remove_citations: bool = Field(True, description="Remove citations such as [3] and [edit].")

    def rewrite(self, text: pl.Series) -> pl.Series:
        rules = LineRules(
            terminal_punctuation=self.terminal_punctuation,
            min_words=self.min_words_per_line,
            max_word_chars=self.max_word_length,
            drop_javascript=self.drop_javascript,
            drop_policy=self.drop_policy,
            remove_citations=self.remove_citations,
        )
        return joined_lines(kept_lines(text, rules), len(text)).str.strip_chars()
