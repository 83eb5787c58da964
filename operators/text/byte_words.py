"""Words as stretches of bytes: found and hashed without making a string of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.words import MULTIPLIER, UNSPACED, Hashes, Offsets

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_EIGHT = 8
_LONG = 64  # bytes beyond which a word is hashed by a library
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(_EIGHT + 1)], np.uint64)
_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class Pieces:
    """Stretches of bytes in order: piece `i` is `data[starts[i]:ends[i]]`.

    Eight bytes behind the last piece are there to be read.
    """

    data: Bytes
    starts: Places
    ends: Places

    @classmethod
    def of(cls, texts: pl.Series) -> Pieces:
        """Every text as a piece; none is null."""
        array = texts.to_arrow()
        _, offsets, content = array.buffers()
        places = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        begin, end = int(places[0]), int(places[-1])
        data = np.zeros(end - begin + _EIGHT, np.uint8)
        if end > begin:
            data[:-_EIGHT] = np.frombuffer(content, np.uint8)[begin:end]
        return cls(data, places[:-1] - begin, places[1:] - begin)

    def hashes(self) -> Hashes:
        """A hash of the bytes of each piece, the same on every machine."""
        lengths = self.ends - self.starts
        eight: Hashes = np.ndarray(len(self.data) - _EIGHT + 1, "<u8", self.data, strides=(1,))
        found: Hashes = eight[self.starts] & _MASKS[np.minimum(lengths, _EIGHT)]
        found *= MULTIPLIER
        found ^= found >> _SHIFT
        longer = np.flatnonzero(lengths > _EIGHT)
        read = _EIGHT
        while len(longer) and read < _LONG:
            more = eight[self.starts[longer] + read]
            more &= _MASKS[np.minimum(lengths[longer] - read, _EIGHT)]
            more ^= found[longer]
            more *= MULTIPLIER
            found[longer] = more ^ (more >> _SHIFT)
            read += _EIGHT
            longer = longer[lengths[longer] > read]
        for index in longer:  # a word of more than 64 bytes is rare
            piece = self.data[self.starts[index] : self.ends[index]].tobytes()
            found[index] = int.from_bytes(blake2b(piece, digest_size=8).digest(), "little")
        return found


def lengths_and_first_bytes(texts: pl.Series) -> tuple[NDArray[np.uint32], Bytes]:
    """How many bytes each string has, and its first one (0 of an empty string); none is null.

    They are read where Arrow's string views have them, without a copy of the text.
    """
    views = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    _, content, *_ = views.buffers()
    fields = np.frombuffer(content, "<u4", 4 * len(views), 16 * views.offset).reshape(-1, 4)
    return fields[:, 0].copy(), fields[:, 1].astype(np.uint8)


# What a character is to the words of a text.
_BETWEEN, _INSIDE, _ALONE = 0, 1, 2
_IN_WORD = bytes(chr(byte).isalnum() or byte == ord("_") for byte in range(128)) + b"\1" * 128


def lower_case_words(texts: pl.Series) -> tuple[Pieces, Offsets]:
    """The words of every text in lower case, and the offsets of the texts in them.

    A word is a longest stretch of letters, marks, numbers and underscores, or one character of a
    script that puts no spaces between words.
    """
    whole = Pieces.of(texts.fill_null("").str.to_lowercase() + "\n")
    data = whole.data
    inside = np.zeros(len(data) + 1, np.bool_)
    inside[1:] = np.frombuffer(data.tobytes().translate(_IN_WORD), np.bool_)
    edges = inside[1:] != inside[:-1]
    leads = np.flatnonzero(data >= 0xC0)
    if len(leads):
        characters, lengths = characters_at(data, leads)
        kinds = _kinds(characters)
        outside = kinds == _BETWEEN
        for byte in range(4):
            inside[1 + byte + leads[outside & (lengths > byte)]] = False
        edges = inside[1:] != inside[:-1]
        alone = kinds == _ALONE
        edges[leads[alone]] = True
        edges[leads[alone] + lengths[alone]] = True
    edges = np.flatnonzero(edges)
    starts, ends = edges[inside[1:][edges]], edges[inside[:-1][edges]]
    offsets = np.searchsorted(starts, np.append(whole.starts, whole.ends[-1:]))
    return Pieces(data, starts, ends), offsets


_BLOCK = 1 << 20  # bytes looked at together: their arrays stay in the processor's cache


def lower_case_word_hashes(texts: pl.Series) -> tuple[Hashes, Offsets]:
    """The hashes of `lower_case_words`, and the offsets of the texts in them."""
    length = int(texts.str.len_bytes().sum())
    rows = max(1, len(texts) * _BLOCK // max(length, 1))
    hashes, ends = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)]
    for first in range(0, len(texts), rows):
        words, offsets = lower_case_words(texts.slice(first, rows))
        hashes.append(words.hashes())
        ends.append(ends[-1][-1] + offsets[1:])
    return np.concatenate(hashes), np.concatenate(ends)


def characters_at(data: Bytes, leads: Places) -> tuple[NDArray[np.uint32], Places]:
    """The characters that begin with these bytes of UTF-8, and how many bytes each has."""
    first = data[leads]
    lengths = 2 + (first >= 0xE0).astype(np.int64) + (first >= 0xF0)
    characters = (first & (0xFF >> (lengths + 1)).astype(np.uint8)).astype(np.uint32)
    for byte in range(1, 4):
        more = lengths > byte
        following = data[leads[more] + byte] & np.uint8(0x3F)
        characters[more] = (characters[more] << np.uint32(6)) | following
    return characters, lengths


def _kinds(characters: NDArray[np.uint32]) -> NDArray[np.uint8]:
    table = _table()
    kinds = table[np.minimum(characters, len(table) - 1)]
    rare = np.flatnonzero(characters >= len(table))
    if len(rare):
        distinct, inverse = np.unique(characters[rare], return_inverse=True)
        kinds[rare] = _kinds_by_pattern(distinct)[inverse]
    return kinds


@cache
def _table() -> NDArray[np.uint8]:
    """The kinds of the characters of the basic plane."""
    return _kinds_by_pattern(np.arange(0x10000, dtype=np.uint32))


def _kinds_by_pattern(characters: NDArray[np.uint32]) -> NDArray[np.uint8]:
    valid = np.where((characters >= 0xD800) & (characters < 0xE000), 0, characters)
    texts = pl.Series(map(chr, valid.tolist()), dtype=pl.String)
    kinds = texts.str.contains(r"[\p{L}\p{M}\p{N}_]").to_numpy().astype(np.uint8)
    kinds[texts.str.contains(f"[{UNSPACED}]").to_numpy()] = _ALONE
    return kinds
