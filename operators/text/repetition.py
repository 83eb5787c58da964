"""How much of a text its most frequent and its repeated n-grams make up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.ngrams import MULTIPLIER, Hashes, Offsets, word_hashes
from datachef.operators.text.ragged import document_of

TOP = (2, 3, 4)
DUPLICATED = (5, 6, 7, 8, 9, 10)
BLOCK = 1 << 16  # words looked at together: their arrays stay in the processor's cache
REPETITION = pl.Struct(
    {f"top_{n}": pl.Int64 for n in TOP} | {f"duplicated_{n}": pl.Int64 for n in DUPLICATED}
)

Positions = NDArray[np.int64]


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
