"""The lines of a text, and how much of it repeats itself line by line."""

from __future__ import annotations

import numpy as np
import polars as pl

from datachef.operators.text.ngrams import offsets_of
from datachef.operators.text.ragged import document_of

LINES = pl.col("text").fill_null("").str.split("\n")
"""The lines as list[str], without the newline; a text that ends with one has a last empty line."""

PARAGRAPHS = (
    pl.col("text")
    .fill_null("")
    .str.strip_chars()
    .str.replace_all("\n\n\n+", "\n\n")
    .str.split("\n\n")
)
"""What stands between empty lines, as list[str]."""

REPEATS = pl.Struct({"count": pl.Int64, "repeats": pl.Int64, "repeated_chars": pl.Int64})


def repeats(pieces: pl.Series, keep: pl.Series | None = None) -> pl.Series:
    """Pieces of each document, those seen before in the document, and the characters of these.

    `keep` marks which of the pieces (of the exploded column) count at all; empty ones do not.
    """
    offsets = offsets_of(pieces.list.len())
    flat = pieces.explode(empty_as_null=False, keep_nulls=False)
    document = document_of(offsets)
    if keep is None:
        keep = flat.str.len_bytes() > 0
    flat, document = flat.filter(keep), document[keep.to_numpy()]
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
