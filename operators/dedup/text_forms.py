"""The words and the forms by which texts are compared."""

from __future__ import annotations

from typing import Literal

import polars as pl

from datachef.operators.text.words import UNSPACED

# A single letter is an option label, what an apostrophe left over, or an article.
_TELLING_WORD = rf"[{UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]{{2,}}|\p{{N}}"
# Commas in numbers, apostrophes in words, and what takes no room (soft hyphens, joiners, marks of
# direction, variation selectors, tatweel): gone without leaving a gap.
_INSIDE_WORDS = (
    r"[,'`\x{b4}\x{2b9}-\x{2bc}\x{2018}-\x{201b}\x{2032}\x{640}\p{Cf}"
    r"\x{fe00}-\x{fe0f}\x{e0100}-\x{e01ef}]"
)
# Accents, and the vowels that Arabic, Hebrew and Syriac may write or leave out. The marks of Indic
# scripts and of Japanese are letters like others.
_MARKS = (
    r"[\x{300}-\x{36f}\x{591}-\x{5bd}\x{5bf}\x{5c1}\x{5c2}\x{5c4}\x{5c5}\x{5c7}\x{610}-\x{61a}"
    r"\x{64b}-\x{65f}\x{670}\x{6d6}-\x{6dc}\x{6df}-\x{6e4}\x{6e7}\x{6e8}\x{6ea}-\x{6ed}\x{711}"
    r"\x{730}-\x{74a}\x{8ca}-\x{8e1}\x{8e3}-\x{8ff}]"
)


def compatible(text: pl.Series) -> pl.Series:
    """The texts in Unicode compatibility form (NFKC); plain ASCII is in it already."""
    odd = _not_ascii(text)
    if not len(odd):
        return text
    return text.scatter(odd, text.gather(odd).str.normalize("NFKC"))


def telling_words(text: pl.Series) -> pl.Series:
    """The words of each text, without regard to case, spacing, punctuation, accents, vowel marks
    and Unicode form."""
    return _folded(text).str.extract_all(_TELLING_WORD)


def telling_keys(text: pl.Series) -> pl.Series:
    """The telling words of each text as one string; of a text without any, its symbols."""
    folded = _folded(text)
    words = folded.str.extract_all(_TELLING_WORD).list.join(" ")
    return words.zip_with(words != "", folded.str.replace_all(r"\s+", ""))


def _folded(text: pl.Series) -> pl.Series:
    plain = text.str.to_lowercase().str.replace_all(_INSIDE_WORDS, "")
    odd = _not_ascii(plain)
    if not len(odd):
        return plain
    bare = plain.gather(odd).str.normalize("NFKD").str.to_lowercase().str.replace_all(_MARKS, "")
    # A full-width comma or apostrophe is one only now.
    bare = bare.str.normalize("NFKC").str.replace_all(_INSIDE_WORDS, "")
    return plain.scatter(odd, bare)


def _not_ascii(text: pl.Series) -> pl.Series:
    return (text.str.len_bytes() != text.str.len_chars()).arg_true()


Form = Literal["none", "whitespace", "case", "letters"]
"""How much of a text counts where it is compared: all; all but the amount of white space; neither
case nor Unicode form (NFKC); or letters, marks and digits alone."""


def normalized(text: pl.Series, form: Form) -> pl.Series:
    """The text in a form, of which equal ones are copies.

    A text without any letter or digit is left as it is by `letters`: two different rows of symbols
    are not copies.
    """
    if form == "none":
        return text
    if form == "whitespace":
        return text.str.replace_all(r"\s+", " ").str.strip_chars()
    plain = compatible(text).str.to_lowercase()
    if form == "case":
        return normalized(plain, "whitespace")
    plain = plain.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", "")
    return plain.zip_with((plain != "").fill_null(True), text)
