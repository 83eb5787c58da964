"""Finds personal data in columns of text: Rust looks for candidates in all rows, Python decides in
the few rows that have any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from datachef.core.personal_data import KINDS, Kind, phone_number

# Domains that belong to nobody, of RFC 2606.
_NOBODY = re.compile(
    r"@(?:[^@]+\.)?(?:example\.(?:com|net|org)|example|invalid|test)$", re.IGNORECASE
)


def candidates(text: pl.Series, kind: Kind) -> pl.DataFrame:
    """The rows that hold a candidate: `row` (its index), `text`, and `found`, the candidates."""
    rows = text.to_frame("text").with_row_index("row")
    if kind.literal:
        rows = rows.filter(pl.col("text").str.contains(kind.literal, literal=True))
    return rows.filter(pl.col("text").str.contains(kind.pattern)).with_columns(
        pl.col("text").str.extract_all(kind.pattern).alias("found")
    )


def spans(text: str, found: Iterable[str], kind: Kind) -> Iterator[tuple[int, int]]:
    """Where the candidates that pass the check begin and end, in the order of the text.

    Candidates come in order, and their pattern looks at nothing around them: so the next place that
    reads like a candidate is the place where it was found.
    """
    cursor = 0
    for candidate in found:
        start = text.index(candidate, cursor)
        cursor = start + len(candidate)
        end = kind.check(text, start, cursor)
        if end is not None:
            yield start, end


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
        for row, content, found in candidates(text, kind).iter_rows():
            holds[row] = holds[row] or any(
                _belongs_to_somebody(content[start:end], kind)
                for start, end in spans(content, found, kind)
            )
    return pl.Series("personal_data", holds, dtype=pl.Boolean)


def _belongs_to_somebody(value: str, kind: Kind) -> bool:
    return value != kind.specimen and not _NOBODY.search(value)
