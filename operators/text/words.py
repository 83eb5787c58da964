"""Words of a text, as spaCy's English tokenizer splits them, and classes of punctuation marks."""

from __future__ import annotations

import polars as pl

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

ENDED = rf"(?:[{SENTENCE_ENDS}]|\p{{Greek}};)[{CLOSERS}]{{0,8}}$"
"""Matches a line that ends a sentence, with quotes and brackets closed behind it."""

# Letters of any script by coarse ranges: exact Unicode classes make an automaton too large to be
# built lazily, and the search twenty times slower.
_LETTERS = (
    r"A-Za-z\x{aa}\x{b5}\x{ba}\x{c0}-\x{1fff}\x{2070}-\x{209f}\x{2c00}-\x{2dff}\x{3040}-\x{fe0f}"
    r"\x{ff10}-\x{ffef}\x{10000}-\x{1efff}\x{20000}-\x{10ffff}"
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
        rf"[^{_LETTERS}0-9\s]",
    ]
)

# Scripts that put no spaces between words; there every character counts as a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

WORDS = pl.col("text").fill_null("").str.extract_all(WORD)
"""The words as list[str]: URLs whole, contractions in two, most punctuation marks one by one."""
