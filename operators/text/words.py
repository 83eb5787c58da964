"""Words as spaCy's English tokenizer splits them, marks of punctuation, and n-grams of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Characters that make a word a mere symbol where it has no others; the list of datatrove.
SYMBOLS = (
    r"!/—”:％１〈&(、━\\【#%「」，】；+\^\]~“《„';’{|∶´\[=\-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
    r"\x00-\x1f\x7f-\x9f\p{Sentence_Terminal}"
)
# What ends a sentence in any script: Unicode's list, full-width marks, what datatrove's list has
# besides (Khmer), the question mark of Greek and the marks of Armenian.
SENTENCE_ENDS = r"\p{Sentence_Terminal}．｡\x{17d6}\x{17d9}\x{17da}\x{37e}\x{55c}\x{55e}"
CLOSING_QUOTES = r"\x22'\p{Pf}\x{201c}＂＇」』"
CLOSERS = rf"{CLOSING_QUOTES}[\p{{Pe}}--[)\]}}]]"
"""Quotes and brackets that may stand behind the end of a sentence; of ASCII, as in C4, quotes."""

# Scripts that end a sentence with a space or a new line, and no mark.
UNMARKED = r"\p{Thai}\p{Lao}"

ENDED = rf"(?:[{SENTENCE_ENDS}{UNMARKED}]|\p{{Greek}};)[{CLOSERS}]{{0,8}}$"
"""Matches a line that ends a sentence, with quotes and brackets closed behind it; any line of a
script that has no marks for that."""

# Letters of any script by coarse ranges: exact Unicode classes make an automaton too large to be
# built lazily, and the search twenty times slower. First those without spaces between words.
_WIDE = (  # Chinese and Japanese
    r"\x{2e80}-\x{2fdf}\x{3005}-\x{3007}\x{3021}-\x{3029}\x{3038}-\x{303b}\x{3040}-\x{30fa}"
    r"\x{30fc}-\x{30ff}\x{31f0}-\x{31ff}\x{3400}-\x{9fff}\x{f900}-\x{faff}\x{ff66}-\x{ff9f}"
    r"\x{20000}-\x{3ffff}"
)
_NARROW = (  # Thai, Lao, Burmese and Khmer
    r"\x{e01}-\x{e3a}\x{e40}-\x{e4e}\x{e80}-\x{ece}\x{1000}-\x{103f}\x{1050}-\x{109f}"
    r"\x{1780}-\x{17d3}\x{17d7}\x{17dc}\x{a9e0}-\x{a9ef}\x{a9fa}-\x{a9ff}\x{aa60}-\x{aa7f}"
)
SEGMENTED = _WIDE + _NARROW
_LETTERS = (  # all others, without the marks of Arabic and Devanagari
    r"A-Za-z\x{aa}\x{b5}\x{ba}\x{c0}-\x{60b}\x{60d}-\x{61a}\x{620}-\x{6d3}\x{6d5}-\x{963}"
    r"\x{966}-\x{e00}\x{e3b}-\x{e3f}\x{e4f}-\x{e7f}\x{ecf}-\x{fff}"
    r"\x{1040}-\x{104f}\x{10a0}-\x{177f}\x{17d4}-\x{17d6}\x{17d8}-\x{17db}\x{17dd}-\x{1fff}"
    r"\x{2070}-\x{209f}\x{2c00}-\x{2dff}\x{30fb}\x{3100}-\x{31ef}\x{3200}-\x{33ff}"
    r"\x{a000}-\x{a9df}\x{a9f0}-\x{a9f9}\x{aa00}-\x{aa5f}\x{aa80}-\x{f8ff}\x{fb00}-\x{fe0f}"
    r"\x{ff10}-\x{ff65}\x{ffa0}-\x{ffef}\x{10000}-\x{1efff}\x{40000}-\x{10ffff}"
)
_ANY = rf"[{_LETTERS}0-9_]"
_INSIDE = "|".join(  # what holds a word together
    [
        rf"(?:[@&+*()\[\]!?|#$%;`{{}}\\]|[!-&(-,/:-@\[\\\]`{{|}}]{{2,}}){_ANY}+",
        rf"\.[a-z0-9]{_ANY}*",
        rf"[:<>=/,][0-9]{_ANY}*",
        rf"['’]{_ANY}{{3,}}",
        r"\+\+",
    ]
)
_HYPHENATED = r"[A-Za-z]-[0-9]|[0-9]-[A-Za-z]|[A-Z0-9]\.[A-Z]"

WORD = "|".join(
    [
        r"(?:https?://|www\.)[^\s<>\"]*[A-Za-z0-9/]",
        r"(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Inc|Ltd|Co|Corp|vs|e\.g|i\.e|a\.m|p\.m)\.|(?:[A-Z]\.)+",
        rf"[{_LETTERS}0-9](?:{_ANY}*(?:{_HYPHENATED}))*{_ANY}*(?:{_INSIDE})*",
        r"['’](?:s|S|t|re|ve|ll|d|m)",
        r"\.\.+|[-~|/\\^][-~|/\\^=_*+]+|[:;=]-?[()]",
        rf"[{_WIDE}]{{1,2}}",
        rf"[{_NARROW}]{{1,5}}",
        rf"[^{_LETTERS}{SEGMENTED}0-9\s]",
    ]
)

# Scripts that put no spaces between words; there every character counts as a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

WORDS = pl.col("text").fill_null("").str.extract_all(WORD)
"""The words as list[str]: URLs whole, contractions in two, most punctuation marks one by one."""

WORD_COUNT = pl.col("text").fill_null("").str.count_matches(WORD)
"""The number of these words; to count them takes less than half the time of making a list."""

_MARKED_LETTER = r"[\p{L}\p{M}]"
PLAIN_WORDS = (
    pl.col("text")
    .fill_null("")
    .str.to_lowercase()
    .str.extract_all(rf"[{UNSPACED}]|{_MARKED_LETTER}(?:[^\s{UNSPACED}]*{_MARKED_LETTER})?")
)
"""The words in lower case, each from its first letter to its last one, as list[str]; numbers and
marks alone are no words. Where no spaces stand between words, every character is one."""


Hashes = NDArray[np.uint64]
Offsets = NDArray[np.int64]

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def offsets_of(lengths: pl.Series) -> Offsets:
    """Where each document begins in the flat array, and at the end where the last one stops."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths.fill_null(0).to_numpy(), out=offsets[1:])
    return offsets


def lists_of(values: pl.Series, offsets: Offsets) -> pl.Series:
    """The flat array as one list for each document."""
    import pyarrow as pa

    flat = values.to_arrow()
    # Of the array's buffer: `pa.array` would import pandas, which takes a third of a second.
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64))]
    kind = pa.large_list(flat.type)
    lists = pl.from_arrow(pa.Array.from_buffers(kind, len(offsets) - 1, buffers, children=[flat]))
    assert isinstance(lists, pl.Series)
    return lists


def word_hashes(words: pl.Series) -> tuple[Hashes, Offsets]:
    """The hash of every word of a column of type list[str], and the offsets of its documents.

    Document `i` has the words `hashes[offsets[i]:offsets[i + 1]]`. The hashes are equal between
    processes and machines, though not between versions of polars.
    """
    flat = words.explode(empty_as_null=False, keep_nulls=False)
    return flat.hash().to_numpy(), offsets_of(words.list.len())


def ngram_hashes(flat: NDArray[Any], offsets: Offsets, n: int) -> tuple[NDArray[Any], Offsets]:
    """The hash of every run of `n` words within a document, and the offsets of the documents.

    A document of fewer than `n` words has none. The hashes have as many bits as those of words.
    """
    counts = np.maximum(np.diff(offsets) - (n - 1), 0)
    starts = np.zeros(len(offsets), np.int64)
    np.cumsum(counts, out=starts[1:])
    if n == 1 or starts[-1] == 0:
        return flat[: starts[-1]].copy(), starts
    rolling = _rolling(flat, n)
    # The low bits of a product depend on low bits alone; this brings the high ones in.
    rolling ^= rolling >> rolling.dtype.type(rolling.itemsize * 4)
    # Those that begin at the last words of a document run over its end.
    ends, begins = offsets[1:, None], offsets[:-1, None]
    over = np.maximum(ends - np.arange(1, n), begins)[np.diff(offsets) > 0]
    inside = np.ones(len(flat), np.bool_)
    inside[over.ravel()] = False
    return rolling[inside[: len(rolling)]], starts


def _rolling(power: NDArray[Any], n: int) -> NDArray[Any]:
    """A polynomial of every run of `n` elements, made of those of 1, 2, 4, ... elements."""
    found, length, size = power, 0, 1
    while True:
        shift = power.dtype.type(pow(int(MULTIPLIER), size, 1 << power.itemsize * 8))
        if n & size:
            found = power if not length else found[: len(power) - length] * shift + power[length:]
            length += size
        if length == n:
            return found
        power = power[:-size] * shift + power[size:]
        size *= 2


def document_of(offsets: Offsets) -> NDArray[np.int64]:
    """The number of the document to which each element of the flat array belongs."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def sums(values: NDArray[Any], offsets: Offsets) -> NDArray[np.int64]:
    """The sum of whole numbers or booleans over each document, 0 for one without elements."""
    total = np.zeros(len(offsets) - 1, np.int64)
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    if len(filled):
        total[filled] = np.add.reduceat(values, offsets[filled], dtype=np.int64)
    return total


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """`part / whole`, 0 where there is no whole."""
    return pl.when(whole > 0).then(part / whole).otherwise(0.0)
