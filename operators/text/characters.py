"""The characters of texts as numbers, and which of them belong to a class."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.byte_words import Pieces, characters_at
from datachef.operators.text.words import Offsets, offsets_of, ratio, sums

_BLOCK = 1 << 18  # characters looked at together: their arrays stay in the processor's cache
_LAST = 0x3347F  # no character beyond has a script, or is a letter, a number or a mark


def code_points(text: pl.Series) -> tuple[NDArray[np.uint32], Offsets]:
    """The code points of all texts, and the offsets of the texts in them."""
    # Where an expression chooses between values, the rows that another branch takes are null here.
    text = text.fill_null("")
    data = Pieces.of(text).data
    first_bytes = data[: int(text.str.len_bytes().sum())]
    if (first_bytes >= 0x80).any():
        first_bytes = first_bytes[(first_bytes & 0xC0) != 0x80]
    points = first_bytes.astype(np.uint32)
    points[points >= 0xC0], _ = characters_at(data, np.flatnonzero(data >= 0xC0))
    return points, offsets_of(text.str.len_chars())


def blocks(offsets: Offsets, size: int = _BLOCK) -> Iterator[tuple[int, int]]:
    """Runs of documents that are worth looking at together, of up to `size` elements: the first
    document, and the one after the last."""
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


@lru_cache(maxsize=64)
def share_of(characters: str) -> pl.Expr:
    """The share of the characters of `text` that belong to a class, as Rust's regex crate writes
    it between brackets."""
    text = pl.col("text").fill_null("")
    count = text.map_batches(
        partial(_count, characters=characters), return_dtype=pl.Int64, is_elementwise=True
    )
    return ratio(count, text.str.len_chars())


def _count(text: pl.Series, characters: str) -> pl.Series:
    points, offsets = code_points(text)
    members = _members(characters)
    found = np.zeros(len(text), np.int64)
    for first, last in blocks(offsets):
        part = points[offsets[first] : offsets[last]]
        inside = members.take(part, mode="clip")
        found[first:last] = sums(inside, offsets[first : last + 1] - offsets[first])
    return pl.Series(text.name, found)


@lru_cache(maxsize=64)
def _members(characters: str) -> NDArray[np.bool_]:
    """Of each code point whether it belongs to the class; the last stands for all beyond."""
    surrogates = range(0xD800, 0xE000)
    every = ["" if point in surrogates else chr(point) for point in range(_LAST + 1)]
    table: NDArray[np.bool_] = np.zeros(_LAST + 2, np.bool_)
    table[:-1] = pl.Series(every).str.contains(f"[{characters}]").to_numpy()
    return table
