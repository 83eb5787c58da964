"""Characters in the n-grams of words that a text repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.characters import blocks
from datachef.operators.text.words import MULTIPLIER, Hashes, Offsets, document_of, word_hashes

TOP = (2, 3, 4)
DUPLICATED = (5, 6, 7, 8, 9, 10)
REPETITION = pl.Struct(
    {f"top_{n}": pl.Int64 for n in TOP} | {f"duplicated_{n}": pl.Int64 for n in DUPLICATED}
)

BLOCK = 1 << 16  # words looked at together: their arrays stay in the processor's cache

Positions = NDArray[np.int64]

_HALF = np.uint64(32)
_SALT = np.uint64(0xD6E8FEB86659FD93)


def repetition(words: pl.Series, *, single: bool = False) -> pl.Series:
    """Characters in repeated n-grams of each document, as a struct of type `REPETITION`.

    `top_n`: those of the most frequent n-gram, joined by spaces, times its count (the earliest one
    among equals); where none occurs twice 0, or with `single` those of the first one.
    `duplicated_n`: those of n-grams that were seen before, read from left to right without overlap.
    """
    hashes, offsets = word_hashes(words)
    flat = words.explode(empty_as_null=False, keep_nulls=False)
    chars = np.zeros(len(hashes) + 1, np.int64)
    np.cumsum(flat.str.len_chars().to_numpy(), out=chars[1:])
    parts = [_block(hashes[:0], chars[:1], offsets[:1], single=single)]
    for first, last in blocks(offsets, BLOCK):
        begin, end = offsets[first], offsets[last]
        block = offsets[first : last + 1] - begin
        parts.append(_block(hashes[begin:end], chars[begin : end + 1], block, single=single))
    return pl.DataFrame(
        {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}
    ).to_struct()


def _block(
    hashes: Hashes, chars: Positions, offsets: Offsets, *, single: bool
) -> dict[str, Positions]:
    """`repetition` of documents given by hashes of words and running sums of their characters."""
    document = document_of(offsets)
    columns: dict[str, Positions] = {}
    for n, repeats in _repeats(hashes, offsets, document):
        if n in TOP:
            top = _top(repeats, n, chars, offsets, document)
            if single:
                alone = np.flatnonzero((top == 0) & (np.diff(offsets) >= n))
                first = offsets[alone]
                top[alone] = chars[first + n] - chars[first] + n - 1
            columns[f"top_{n}"] = top
        if n in DUPLICATED:
            columns[f"duplicated_{n}"] = _duplicated(repeats, n, chars, offsets)
    return columns


@dataclass(frozen=True)
class Repeats:
    """The n-grams that were seen before in their document: where they begin, in order, and where
    each of them was first."""

    places: Positions
    firsts: Positions


def _repeats(
    hashes: Hashes, offsets: Offsets, document: Positions
) -> Iterator[tuple[int, Repeats]]:
    """The repeated n-grams of every length."""
    pairs = hashes * MULTIPLIER
    pairs ^= document.astype(np.uint64) * _SALT
    pairs[:-1] += hashes[1:]
    # The last word of a document is no pair: it equals nothing.
    ends = offsets[1:][np.diff(offsets) > 0] - 1
    firsts = first_occurrences(pairs)
    places = np.arange(len(hashes))
    firsts[ends] = ends
    is_end = np.zeros(len(hashes) + 1, np.bool_)
    is_end[ends] = True
    for n in range(2, max(DUPLICATED) + 1):
        again = np.flatnonzero(firsts != places)
        places, firsts = places.take(again), firsts.take(again)
        yield n, Repeats(places, firsts)
        following = hashes.take(places + n, mode="clip")
        # What is followed by the same word as the first of its kind repeats it in one word more.
        # What is not can only repeat others of those.
        other = np.flatnonzero(following != hashes.take(firsts + n, mode="clip"))
        keys = following[other] ^ firsts[other].astype(np.uint64) * _SALT
        firsts[other] = places[other[first_occurrences(keys)]]
        ended = np.flatnonzero(is_end.take(places + (n - 1)))
        firsts[ended] = places[ended]


def first_occurrences(hashes: Hashes) -> Positions:
    """Where each hash stands first."""
    count = len(hashes)
    mixed = hashes * MULTIPLIER
    slots = (mixed >> np.uint64(63 - (2 * count).bit_length())).view(np.int64)
    table = np.empty(1 << (2 * count).bit_length() + 1, np.int64)
    # Of several that have the same slot the last one that is written stays: the first.
    table[slots[::-1].copy()] = np.arange(count - 1, -1, -1)
    first: Positions = table.take(slots)
    other = np.flatnonzero(hashes.take(first) != hashes)
    if len(other):  # another hash has their slot
        mixed = mixed[other]
        mixed ^= mixed >> _HALF
        first[other] = other[first_occurrences(mixed)]
    return first


def _top(
    repeats: Repeats, n: int, chars: Positions, offsets: Offsets, document: Positions
) -> Positions:
    counts = np.bincount(repeats.firsts)
    first = np.flatnonzero(counts > 0)
    # One number that is smaller for more frequent and then for earlier n-grams.
    bits = len(document).bit_length()
    most = 1 << bits
    rank = ((most - 1 - counts[first]) << bits) | first
    nothing = most << bits
    best = np.full(len(offsets) - 1, nothing, np.int64)
    np.minimum.at(best, document[first], rank)
    found = np.flatnonzero(best < nothing)
    first, count = best[found] & (most - 1), most - (best[found] >> bits)
    size = np.zeros(len(best), np.int64)
    size[found] = (chars[first + n] - chars[first] + n - 1) * count
    return size


def _duplicated(repeats: Repeats, n: int, chars: Positions, offsets: Offsets) -> Positions:
    places = repeats.places
    if not len(places):
        return np.zeros(len(offsets) - 1, np.int64)
    begins = np.append(0, np.flatnonzero(places[1:] != places[:-1] + 1) + 1)
    starts, stops = places[begins], places[np.append(begins[1:], len(places)) - 1] + 1
    hits = _hits(starts, stops, begins, repeats.firsts, n)
    size = np.append(0, np.cumsum(chars[hits + n] - chars[hits]))
    found: Positions = np.diff(size[np.searchsorted(hits, offsets)])
    return found


def _hits(
    starts: Positions, stops: Positions, begins: Positions, firsts: Positions, n: int
) -> Positions:
    """Positions of n-grams seen before, from left to right without overlap.

    The stretches from `starts` to `stops` hold all n-grams that are not the first of their kind,
    and `firsts`, from `begins` on for each stretch, where that one is. It counts as seen unless a
    hit jumped over it; then the next of its kind that is not jumped over takes its place.
    """
    length = int(stops[-1]) + n
    jumped, hit = bytearray(length), bytearray(length)
    marks = [b"\1" * count for count in range(n)]
    first = firsts.data
    position = 0
    stretches = zip(starts.tolist(), stops.tolist(), (begins - starts).tolist(), strict=True)
    for start, stop, shift in stretches:
        position = max(position, start)
        while position < stop:
            origin = first[position + shift]
            if jumped[origin]:
                jumped[origin] = 0
                position += 1
            else:
                hit[position] = 1
                position += n
        if position > stop:
            jumped[stop:position] = marks[position - stop]
    return np.flatnonzero(np.frombuffer(hit, np.bool_))
