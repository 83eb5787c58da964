"""Lines of a text, and C4's rules for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.words import (
    CLOSERS,
    CLOSING_QUOTES,
    ENDED,
    SENTENCE_ENDS,
    UNMARKED,
    UNSPACED,
    document_of,
    offsets_of,
    ratio,
)

# All that Python's str.splitlines takes for the end of a line, but the newline.
_BREAKS = r"\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
FILLED = r"[^\s\p{Cc}\p{Cf}]"
"""A character that can be seen: a line without any is blank, whatever spaces it is made of."""
FILLED_LINE = rf"{FILLED}[^\n{_BREAKS}]*"


_TEXT = pl.col("text").fill_null("").str.replace_all(rf"\r\n|[{_BREAKS}]", "\n")

LINES = _TEXT.str.split("\n")
"""The lines as list[str], whatever ends them; a text that ends with a line's end has a last empty
one."""

LINE_COUNT = pl.col("_lines").list.len().cast(pl.Int64) - (pl.col("_lines").list.last() == "")
"""The number of `_lines`; the empty one behind the last line's end is none."""

PARAGRAPHS = _TEXT.str.strip_chars().str.replace_all(r"\n\s*\n", "\n\n").str.split("\n\n")
"""What stands between blank lines, as list[str]."""


def longest_line(lines: pl.Series) -> pl.Series:
    """The characters of the longest line of each text; every text has a line."""
    chars = lines.explode(empty_as_null=False, keep_nulls=False).str.len_chars().to_numpy()
    begins = offsets_of(lines.list.len())[:-1]
    found = np.maximum.reduceat(chars, begins) if len(begins) else chars
    return pl.Series(lines.name, found.astype(np.int64))


AVERAGE_LINE = ratio(pl.col("text").fill_null("").str.len_chars(), LINE_COUNT)
LONGEST_LINE = pl.col("_lines").map_batches(
    longest_line, return_dtype=pl.Int64, is_elementwise=True
)

REPEATS = pl.Struct({"count": pl.Int64, "repeats": pl.Int64, "repeated_chars": pl.Int64})


def repeats(
    pieces: pl.Series, filled: pl.Series | None = None, *, exact: bool = False
) -> pl.Series:
    """Pieces of each document, those seen before in the document, and the characters of these.

    Blank pieces do not count, nor do spaces at the end of a piece, unless they are compared as they
    are (`exact`); `filled` says which pieces (of the exploded column) are not blank, where that is
    known already.
    """
    offsets = offsets_of(pieces.list.len())
    flat = pieces.explode(empty_as_null=False, keep_nulls=False)
    document = document_of(offsets)
    if not exact:
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


CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
POLICIES = "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"
# A period ends a sentence only after what is no initial or abbreviation in capitals. Other scripts
# may go on without a space. Repetitions are bounded, or rows of marks would be read again from each
# of them.
_SENTENCE_END = (
    r"(?:[^A-Z\s.]\.|[A-Z][A-Z]\.|[!?])[\"'”’)\]!?]{0,8}"
    r"(?:\s{1,8}[^\w\s]{1,4}){0,3}\s{1,8}[\"'“‘(\[]{0,4}[\w$#@&*+<=>|/\\~^-]"
    rf"|[[{SENTENCE_ENDS}]--[\x00-\x7f\x{{55c}}\x{{55e}}]][{SENTENCE_ENDS}{CLOSERS}]{{0,8}}"
    r"\s{0,8}[\x22'“‘(\[\p{Ps}\p{Pi}]{0,4}\w"
    rf"|[{UNMARKED}]\s{{1,8}}[{UNMARKED}]"  # a space ends what a mark would
)
_LINE_END = rf"{ENDED}|[{CLOSING_QUOTES}]$"
_ELLIPSIS = r"(?:\.\.\.|[…‥])$"
_WORD = rf"[{UNSPACED}]|[^\s{UNSPACED}]+"


@dataclass(frozen=True)
class LineRules:
    """What a line must be to stay, and what it loses."""

    terminal_punctuation: bool = True
    min_words: int = 3
    max_word_chars: int = 1000
    drop_javascript: bool = True
    drop_policy: bool = True
    remove_citations: bool = True


@dataclass(frozen=True)
class Lines:
    """Lines of all documents, in order, each with the number of its document."""

    text: pl.Series
    document: NDArray[np.int64]

    def filter(self, keep: pl.Series) -> Lines:
        return Lines(self.text.filter(keep), self.document[keep.to_numpy()])


def joined_lines(lines: Lines, documents: int) -> pl.Series:
    """The lines of each document as one text, empty for a document without lines."""
    table = pl.DataFrame({"document": lines.document, "line": lines.text})
    joined = table.group_by("document", maintain_order=True).agg(pl.col("line").str.join("\n"))
    every = pl.DataFrame({"document": np.arange(documents)})
    found = every.join(joined, on="document", how="left", maintain_order="left")
    return found["line"].fill_null("")


def kept_lines(text: pl.Series, rules: LineRules) -> Lines:
    """The lines that stay, stripped and without citations.

    Those with lorem ipsum or a curly bracket, on account of which C4 drops the whole page, stay.
    """
    lists = text.to_frame("text").select(LINES).to_series()
    document = document_of(offsets_of(lists.list.len()))
    lines = Lines(lists.explode(empty_as_null=False).str.strip_chars(), document)
    lines = lines.filter(lines.text.str.len_bytes() > 0)
    if rules.terminal_punctuation:
        # With a bracket at its end, a line may end otherwise once the citation is gone.
        lines = lines.filter(_ends_well(lines.text) | lines.text.str.ends_with("]"))
    if rules.min_words > 1:
        lines = lines.filter(_has_words(lines.text, rules.min_words))
    lines = lines.filter(~_has_long_word(lines.text, rules.max_word_chars))
    if rules.remove_citations:
        lines = Lines(_without_citations(lines.text), lines.document)
    if rules.terminal_punctuation:
        lines = lines.filter(_ends_well(lines.text))
    unwanted = [r"javascript"] * rules.drop_javascript + [POLICIES] * rules.drop_policy
    if unwanted:
        found = lines.text.str.contains(f"(?i){'|'.join(unwanted)}")
        lines = lines.filter(~found)
    return lines


def sentences(lines: pl.Series) -> pl.Series:
    """The number of sentences of each line, at least one."""
    return lines.str.count_matches(_SENTENCE_END).cast(pl.Int64) + 1


def _ends_well(lines: pl.Series) -> pl.Series:
    return lines.str.contains(_LINE_END) & ~lines.str.contains(_ELLIPSIS)


def _has_words(lines: pl.Series, least: int) -> pl.Series:
    """Whether each line has `least` words; without spaces between them, every character is one."""
    enough = lines.str.contains(r"\S+" + r"\s+\S+" * (least - 1))
    rest = (~enough).arg_true()
    return enough.scatter(rest, lines.gather(rest).str.count_matches(_WORD) >= least)


def _has_long_word(lines: pl.Series, chars: int) -> pl.Series:
    found = np.zeros(len(lines), np.bool_)
    long = (lines.str.len_bytes() > chars).arg_true()
    spaced = lines.gather(long).str.replace_all(f"[{UNSPACED}]", " ")
    for index, line in zip(long, spaced, strict=True):
        found[index] = max(map(len, line.split()), default=0) > chars
    return pl.Series(found)


def _without_citations(lines: pl.Series) -> pl.Series:
    cited = lines.str.contains("[", literal=True).arg_true()
    if cited.is_empty():
        return lines
    return lines.clone().scatter(cited, lines.gather(cited).str.replace_all(CITATION, ""))
