"""The share of letters of one script."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.characters import share_of

# What is written with several scripts of Unicode.
_COMPOUND = {
    "Chinese": ("Han", "Bopomofo"),
    "Japanese": ("Han", "Hiragana", "Katakana"),
    "Korean": ("Hangul", "Han"),
}


class ScriptFilter(RangeFilter):
    """Drops text of which too small a share of the letters belongs to a script.

    A quick first look before `language_filter`: text in another script is in another language.
    Scripts are those of Unicode (https://www.unicode.org/reports/tr24/); Chinese, Japanese and
    Korean stand for the scripts they are written with. A text without letters has the share 0.
    """

    op: Literal["script_filter"] = "script_filter"
    quantity: ClassVar[str] = "script_share"

    script: Literal[
        "Latin", "Arabic", "Armenian", "Bengali", "Chinese", "Cyrillic", "Devanagari", "Ethiopic",
        "Georgian", "Greek", "Gujarati", "Gurmukhi", "Hebrew", "Japanese", "Kannada", "Khmer",
        "Korean", "Lao", "Malayalam", "Myanmar", "Sinhala", "Tamil", "Telugu", "Thai", "Tibetan",
    ] = Field("Latin", description="Script whose letters count.")  # fmt: skip
    min: float = threshold(
        0.5, ge=0, le=1, examples=[0.3, 0.5, 0.8, 0.95], description="Least share of the letters."
    )
    max: float = threshold(
        1, ge=0, le=1, examples=[1], description="Greatest share of the letters."
    )

    def measurement(self) -> pl.Expr:
        scripts = "".join(rf"\p{{{name}}}" for name in _COMPOUND.get(self.script, (self.script,)))
        letters = share_of(r"\p{L}\p{M}")
        within = share_of(rf"\p{{L}}\p{{M}}&&[{scripts}]")
        return pl.when(letters > 0).then(within / letters).otherwise(0.0)
