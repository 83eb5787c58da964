"""Finds personal data in columns of text: Rust looks for candidates in all rows, Python decides in
the few rows that have any."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import polars as pl

from datachef.core.personal_data import KINDS, Kind, phone_number

# Domains that belong to nobody, of RFC 2606.
_NOBODY = re.compile(
    r"@(?:[^@]+\.)?(?:example\.(?:com|net|org)|example|invalid|test)$", re.IGNORECASE
)


# Characters that stand for one of ASCII in numbers and addresses: digits of any script, full-width
# letters and signs, spaces and hyphens at which no line breaks. One for one, so that places in a
# text stay what they are; not the signs that end a clause, which say that a number is over.
_PLAIN = {
    **{
        chr(code): str(unicodedata.decimal(chr(code)))
        for code in range(128, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) == "Nd"
    },
    **{chr(code + 0xFEE0): chr(code) for code in map(ord, string.ascii_letters + "@.-+()_")},
    **dict.fromkeys(
        "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000", " "
    ),
    **dict.fromkeys("\u2010\u2011\u2012\ufe63", "-"),
    "\ufe6b": "@",
}


def candidates(text: pl.Series, kind: Kind) -> pl.DataFrame:
    """The rows that hold a candidate: `row` (its index), `text`, `plain` (the text to search in, of
    the same length), and `found`, the candidates."""
    odd = pl.col("text").str.len_bytes() != pl.col("text").str.len_chars()
    plain = pl.col("text").str.replace_many(_PLAIN)
    rows = text.to_frame("text").with_row_index("row")
    ascii_only, rest = rows.filter(~odd), rows.filter(odd)
    rows = pl.concat(
        [ascii_only.with_columns(plain=pl.col("text")), rest.with_columns(plain=plain)]
    )
    if kind.literal:
        rows = rows.filter(pl.col("plain").str.contains(kind.literal, literal=True))
    return rows.filter(pl.col("plain").str.contains(kind.pattern)).with_columns(
        pl.col("plain").str.extract_all(kind.pattern).alias("found")
    )


def spans(text: str, found: Sequence[str], kind: Kind) -> Iterator[tuple[int, int]]:
    """Where the candidates that pass the check begin and end, in the order of the text.

    `found` are the candidates of the plain `text` from left to right. One may have swallowed the
    beginning of the next, or begin with what is none: so the search goes on where an accepted one
    ends, and right behind the first character of a refused one.
    """
    if kind.indivisible:
        cursor = 0
        for candidate in found:
            start = text.index(candidate, cursor)
            cursor = start + len(candidate)
            end = kind.check(text, start, cursor)
            if end is not None:
                yield start, end
        return
    pattern = re.compile(kind.pattern)
    match = pattern.search(text, text.index(found[0])) if found else None
    while match is not None:
        end = kind.check(text, *match.span())
        if end is not None:
            yield match.start(), end
        match = pattern.search(text, match.start() + 1 if end is None else end)


def holds_personal_data(text: pl.Series, phone_region: str | None = "US") -> pl.Series:
    """Whether each text has an e-mail address, IBAN, card number, public IP address or phone number
    of somebody; false where the text is null.

    Specimens, and addresses at domains that are reserved for examples, are nobody's.
    `phone_region` is the country whose national format of phone numbers counts beside `+`.
    """
    holds = [False] * len(text)
    for kind in (
        kind for kinds in (*KINDS.values(), (phone_number(phone_region),)) for kind in kinds
    ):
        for row, _, plain, found in candidates(text, kind).iter_rows():
            holds[row] = holds[row] or any(
                _belongs_to_somebody(plain[start:end], kind)
                for start, end in spans(plain, found, kind)
            )
    return pl.Series("personal_data", holds, dtype=pl.Boolean)


def _belongs_to_somebody(value: str, kind: Kind) -> bool:
    return value != kind.specimen and not _NOBODY.search(value)
