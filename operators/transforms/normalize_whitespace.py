"""White space of all kinds as ordinary spaces."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import TextTransform

# Of Unicode's spaces all but those that end a line, and what Data-Juicer counts besides: the
# invisible ones, the mark of an embedded object, and two control characters.
_SPACES = r"\t\p{Zs}\x{180e}\x{200b}-\x{200d}\x{2060}\x{feff}\x{fffc}\x{84}\x{95}"
# Joiners hold letters of Arabic, Indic scripts and emoji together: there they are no spaces.
_JOINERS = r"\x{200c}\x{200d}"


class NormalizeWhitespace(TextTransform):
    """Replaces every kind of space by an ordinary one, and removes white space around the text.

    As `whitespace_normalization_mapper` of Data-Juicer, except that joiners stay, since they belong
    to words of Arabic and Indic scripts and to emoji. Spaces in a row, those at the ends of lines,
    and blank lines in a row become fewer on request; the indentation of code goes with them.
    """

    op: Literal["normalize_whitespace"] = "normalize_whitespace"
    keep_tabs: bool = Field(False, description="Leave tabs, which indent code, as they are.")
    collapse_spaces: bool = Field(
        False, description="Make one space of several, and none at the ends of a line."
    )
    max_blank_lines: int | None = Field(
        None, ge=0, le=10, description="Most blank lines in a row; null: as many as there are."
    )

    def rewrite(self, text: pl.Series) -> pl.Series:
        tab = r"\t" if self.keep_tabs else ""
        text = text.str.replace_all(rf"[[{_SPACES}]--[ {_JOINERS}{tab}]]", " ")
        if self.collapse_spaces:
            text = text.str.replace_all(r"(?m)[ \t]+(\r?)$", "$1").str.replace_all(r" {2,}", " ")
        if self.max_blank_lines is not None:
            breaks = "\n" * (self.max_blank_lines + 1)
            pattern = rf"\r?\n(?:[ \t]*\r?\n){{{self.max_blank_lines + 1},}}"
            text = text.str.replace_all(pattern, breaks)
        return text.str.strip_chars()
