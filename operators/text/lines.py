"""The lines of a text, and how much of it repeats itself line by line."""

from __future__ import annotations

import numpy as np
import polars as pl

from datachef.operators.text.ngrams import document_of, offsets_of

# All that Python's str.splitlines takes for the end of a line, but the newline.
_BREAKS = r"\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
FILLED = r"[^\s\p{Cc}\p{Cf}]"
"""A character that can be seen: a line without any is blank, whatever spaces it is made of."""
FILLED_LINE = rf"{FILLED}[^\n{_BREAKS}]*"


_TEXT = pl.col("text").fill_null("").str.replace_all(rf"\r\n|[{_BREAKS}]", "\n")

LINES = _TEXT.str.split("\n")
"""The lines as list[str], whatever ends them; a text that ends with a line's end has a last empty
one."""

PARAGRAPHS = _TEXT.str.strip_chars().str.replace_all(r"\n\s*\n", "\n\n").str.split("\n\n")
"""What stands between blank lines, as list[str]."""

REPEATS = pl.Struct({"count": pl.Int64, "repeats": pl.Int64, "repeated_chars": pl.Int64})


def repeats(pieces: pl.Series, filled: pl.Series | None = None) -> pl.Series:
    """Pieces of each document, those seen before in the document, and the characters of these.

    Blank pieces do not count, nor do spaces at the end of a piece; `filled` says which pieces (of
    the exploded column) are not blank, where that is known already.
    """
    offsets = offsets_of(pieces.list.len())
    flat = pieces.explode(empty_as_null=False, keep_nulls=False)
    document = document_of(offsets)
    if filled is None:
        filled = flat.str.contains(FILLED)
    flat, document = flat.filter(filled).str.strip_chars_end(), document[filled.to_numpy()]
    seed = (document.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    again = ~pl.Series(flat.hash().to_numpy() ^ seed).is_first_distinct()
    chars = np.bincount(
        document[again.to_numpy()],
        flat.filter(again).str.len_chars().to_numpy(),
        minlength=len(pieces),
    )
    return pl.DataFrame(
        {
            "count": np.bincount(document, minlength=len(pieces)),
            "repeats": np.bincount(document[again.to_numpy()], minlength=len(pieces)),
            "repeated_chars": chars.astype(np.int64),
        }
    ).to_struct()
