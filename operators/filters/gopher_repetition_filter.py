"""Gopher's rules against repetitive text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core import Filter, threshold
from datachef.operators.text.lines import FILLED, LINES, PARAGRAPHS, REPEATS, repeats
from datachef.operators.text.words import (
    MULTIPLIER,
    WORDS,
    Hashes,
    Offsets,
    document_of,
    ratio,
    word_hashes,
)

if TYPE_CHECKING:
    from datachef.core import Signal

TOP = (2, 3, 4)
DUPLICATED = (5, 6, 7, 8, 9, 10)
BLOCK = 1 << 16  # words looked at together: their arrays stay in the processor's cache
REPETITION = pl.Struct(
    {f"top_{n}": pl.Int64 for n in TOP} | {f"duplicated_{n}": pl.Int64 for n in DUPLICATED}
)

Positions = NDArray[np.int64]

TEXT = pl.col("text").fill_null("")
CHARS = TEXT.str.len_chars()
LINE_REPEATS = pl.col("_lines").map_batches(repeats, return_dtype=REPEATS, is_elementwise=True)
PARAGRAPH_REPEATS = PARAGRAPHS.map_batches(repeats, return_dtype=REPEATS, is_elementwise=True)


def _share(description: str, default: float) -> float:
    share: float = threshold(default, ge=0, le=1, description=f"Greatest share of {description}.")
    return share


class GopherRepetitionFilter(Filter):
    """Drops text that repeats its lines, paragraphs or n-grams of words (Gopher, table A1).

    Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446. Shares are of the characters of the
    text, or of its number of lines or paragraphs, between 0 and 1. Only what was seen before counts
    as a duplicate, not its first occurrence; duplicated n-grams are found from left to right
    without overlap. An n-gram that occurs once repeats nothing, however short the text. Blank lines
    do not count, nor do spaces at the ends of lines. N-grams are compared by 64-bit hashes. The
    thresholds were made for web pages: a short row in which two words come back may exceed them.
    """

    version: ClassVar[int] = 3

    op: Literal["gopher_repetition_filter"] = "gopher_repetition_filter"

    dup_para_frac: float = _share("paragraphs that are duplicates", 0.3)
    dup_para_char_frac: float = _share("characters in duplicate paragraphs", 0.2)
    dup_line_frac: float = _share("lines that are duplicates", 0.3)
    dup_line_char_frac: float = _share("characters in duplicate lines", 0.2)
    top_2_gram: float = _share("characters in the most frequent 2-gram", 0.2)
    top_3_gram: float = _share("characters in the most frequent 3-gram", 0.18)
    top_4_gram: float = _share("characters in the most frequent 4-gram", 0.16)
    dup_5_gram: float = _share("characters in duplicated 5-grams", 0.15)
    dup_6_gram: float = _share("characters in duplicated 6-grams", 0.14)
    dup_7_gram: float = _share("characters in duplicated 7-grams", 0.13)
    dup_8_gram: float = _share("characters in duplicated 8-grams", 0.12)
    dup_9_gram: float = _share("characters in duplicated 9-grams", 0.11)
    dup_10_gram: float = _share("characters in duplicated 10-grams", 0.1)

    def signals(self) -> Mapping[str, Signal]:
        found: dict[str, Signal] = {
            "_words": WORDS,
            "_lines": LINES,
            "_line_repeats": LINE_REPEATS,
            "_paragraph_repeats": PARAGRAPH_REPEATS,
            "_repetition": pl.col("_words").map_batches(
                repetition, return_dtype=REPETITION, is_elementwise=True
            ),
            "repetition_empty": ~TEXT.str.contains(FILLED),
        }
        for name in ("para", "line"):
            pieces = pl.col("_line_repeats" if name == "line" else "_paragraph_repeats").struct
            found[f"dup_{name}_frac"] = ratio(pieces.field("repeats"), pieces.field("count"))
            found[f"dup_{name}_char_frac"] = ratio(pieces.field("repeated_chars"), CHARS)
        ngrams = pl.col("_repetition").struct
        for n in TOP:
            found[f"top_{n}_gram"] = ratio(ngrams.field(f"top_{n}"), CHARS)
        for n in DUPLICATED:
            found[f"dup_{n}_gram"] = ratio(ngrams.field(f"duplicated_{n}"), CHARS)
        return found

    def rules(self) -> Mapping[str, pl.Expr]:
        names = ["dup_para_frac", "dup_para_char_frac", "dup_line_frac", "dup_line_char_frac"]
        names += [f"top_{n}_gram" for n in TOP] + [f"dup_{n}_gram" for n in DUPLICATED]
        rules = {name: pl.col(name) > getattr(self, name) for name in names}
        return {"empty": pl.col("repetition_empty")} | rules


@dataclass(frozen=True)
class Groups:
    """Equal n-grams: where each stands, group after group; where groups begin; their lengths."""

    positions: Positions
    begins: Positions
    counts: Positions

    @property
    def firsts(self) -> Positions:
        return self.positions[self.begins]


def repetition(words: pl.Series) -> pl.Series:
    """Characters in repeated n-grams of each document, as a struct of type `REPETITION`.

    `top_n`: those of the most frequent n-gram, joined by spaces, times its count (the earliest one
    among equals); 0 where none occurs twice. `duplicated_n`: those of n-grams that were seen
    before, read from left to right without overlap.
    """
    hashes, offsets = word_hashes(words)
    chars = np.zeros(len(hashes) + 1, np.int64)
    flat = words.explode(empty_as_null=False, keep_nulls=False)
    np.cumsum(flat.str.len_chars().to_numpy(), out=chars[1:])
    parts, first = [_block(hashes[:0], chars[:1], offsets[:1])], 0
    while first < len(words):
        begin = offsets[first]
        last = int(np.searchsorted(offsets, begin + BLOCK, side="right")) - 1
        last = max(last, first + 1)
        end = offsets[last]
        block = offsets[first : last + 1] - begin
        parts.append(_block(hashes[begin:end], chars[begin : end + 1], block))
        first = last
    return pl.concat(parts).to_struct()


def _block(hashes: Hashes, chars: Positions, offsets: Offsets) -> pl.DataFrame:
    """`repetition` of documents given by hashes of words and running sums of their characters."""
    document = document_of(offsets)
    # Mixed with its document's number, a word equals words of the same document alone.
    salt = np.arange(len(offsets) - 1, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    hashes = (hashes ^ np.repeat(salt, np.diff(offsets))) * MULTIPLIER
    columns = {}
    rolling = hashes.copy()
    inside = np.ones(len(hashes), np.bool_)
    inside[offsets[1:][np.diff(offsets) > 0] - 1] = False
    candidates = np.flatnonzero(inside)
    for n in range(2, max(DUPLICATED) + 1):
        rolling[candidates] = rolling[candidates] * MULTIPLIER + hashes[candidates + n - 1]
        groups = repeated(rolling[candidates], candidates)
        if n in TOP:
            columns[f"top_{n}"] = _top(groups, n, chars, offsets, document)
        if n in DUPLICATED:
            columns[f"duplicated_{n}"] = _duplicated(groups, n, chars, offsets, document)
        # A repeated n-gram consists of repeated shorter ones: only there it pays to look on.
        marked = np.zeros(len(hashes) + 1, np.bool_)
        marked[groups.positions] = True
        candidates = np.flatnonzero(marked[:-1] & marked[1:])
    return pl.DataFrame(columns)


def repeated(hashes: Hashes, positions: Positions) -> Groups:
    """The positions whose hash occurs more than once, in groups; a group is in ascending order."""
    # Sorting values is several times faster than sorting indices, so the index takes the low bits.
    bits = np.uint64(max(len(hashes).bit_length(), 1))
    packed = (hashes >> bits << bits) | np.arange(len(hashes), dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    packed >>= bits
    near = packed[1:] == packed[:-1]
    in_run = np.zeros(len(hashes), np.bool_)
    in_run[1:] |= near
    in_run[:-1] |= near
    order, packed = order[in_run], packed[in_run]
    values = hashes[order]
    mixed = (packed[1:] == packed[:-1]) & (values[1:] != values[:-1])
    if mixed.any():  # different hashes that agree in their high bits: rare, and put right exactly
        order = order[np.lexsort((order, values))]
        values = hashes[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = values[1:] != values[:-1]
    begins = np.flatnonzero(new)
    counts = np.diff(begins, append=len(order))
    if mixed.any():
        order = order[np.repeat(counts > 1, counts)]
        counts = counts[counts > 1]
        begins = np.cumsum(counts) - counts
    return Groups(positions[order], begins, counts)


def _top(
    groups: Groups, n: int, chars: Positions, offsets: Offsets, document: Positions
) -> Positions:
    # One number that is smaller for more frequent and then for earlier n-grams.
    bits = len(document).bit_length()
    rank = ((1 << bits) - groups.counts << bits) | groups.firsts
    nothing = 1 << 2 * bits
    best = np.full(len(offsets) - 1, nothing, np.int64)
    np.minimum.at(best, document[groups.firsts], rank)
    first = np.where(best == nothing, 0, best & ((1 << bits) - 1))
    count = np.where(best == nothing, 0, (1 << bits) - (best >> bits))
    end = np.minimum(first + n, len(chars) - 1)
    size: Positions = chars[end] - chars[np.minimum(first, len(chars) - 1)] + n - 1
    return size * count


def _duplicated(
    groups: Groups, n: int, chars: Positions, offsets: Offsets, document: Positions
) -> Positions:
    first = np.zeros(len(document), np.int64)
    first[groups.positions] = np.repeat(groups.firsts, groups.counts)
    again = np.zeros(len(document) + 2, np.bool_)
    again[groups.positions + 1] = True
    again[groups.firsts + 1] = False
    edges = np.flatnonzero(again[1:] != again[:-1])
    hits = np.array(_hits(edges[::2].tolist(), edges[1::2].tolist(), first.data, n), np.int64)
    total = np.zeros(len(offsets) - 1, np.int64)
    np.add.at(total, document[hits], chars[hits + n] - chars[hits])
    return total


def _hits(starts: list[int], stops: list[int], first: memoryview[int], n: int) -> list[int]:
    """Positions of n-grams seen before, from left to right without overlap.

    The stretches from `starts` to `stops` hold all n-grams that are not the first of their kind,
    and `first` says where that one is. It counts as seen unless a hit jumped over it; then the next
    of its kind that is not jumped over takes its place.
    """
    jumped = bytearray(len(first) + n)
    replaced: set[int] = set()
    hits: list[int] = []
    position = 0
    for start, stop in zip(starts, stops, strict=True):
        position = max(position, start)
        while position < stop:
            origin = first[position]
            if jumped[origin] and origin not in replaced:
                replaced.add(origin)
                position += 1
            else:
                hits.append(position)
                position += n
        if position > stop:
            jumped[stop:position] = b"\1" * (position - stop)
    return hits
