"""Words between spaces, in small letters and without the marks around them."""

from __future__ import annotations

import polars as pl

from datachef.operators.text.words import UNSPACED

_LETTER = r"[\p{L}\p{M}]"

PLAIN_WORDS = (
    pl.col("text")
    .fill_null("")
    .str.to_lowercase()
    .str.extract_all(rf"[{UNSPACED}]|{_LETTER}(?:[^\s{UNSPACED}]*{_LETTER})?")
)
"""What stands between spaces, from its first letter to its last one, as list[str]; numbers and
marks alone are no words. Where no spaces stand between words, every character is one."""
