"""The words by which texts are compared, blind to how they are set on the page."""

from __future__ import annotations

import polars as pl

from datachef.operators.text.words import UNSPACED

WORD = rf"[{UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]+"
# A single letter is an option label, what an apostrophe left over, or an article.
_TELLING_WORD = rf"[{UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]{{2,}}|\p{{N}}"
# Commas in numbers, apostrophes in words, and what takes no room: gone without leaving a gap.
_INSIDE_WORDS = "[,'\u2019\u2018`\u00ad\u200b-\u200f\u2060\ufeff]"


def compatible(text: pl.Series) -> pl.Series:
    """The texts in Unicode compatibility form (NFKC); plain ASCII is in it already."""
    odd = (text.str.len_bytes() != text.str.len_chars()).arg_true()
    if not len(odd):
        return text
    return text.scatter(odd, text.gather(odd).str.normalize("NFKC"))


def telling_words(text: pl.Series) -> pl.Series:
    """The words of each text, without regard to case, spacing, punctuation and Unicode form."""
    plain = compatible(text).str.to_lowercase().str.replace_all(_INSIDE_WORDS, "")
    return plain.str.extract_all(_TELLING_WORD)
