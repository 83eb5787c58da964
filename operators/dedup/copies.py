"""What makes texts copies: the words by which they are compared, and groups of equal ones."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.words import UNSPACED

WORD = rf"[{UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]+"
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


Rows = NDArray[np.uint32]

# Fewer are read once; of more, one column of keys at a time is in memory.
IN_MEMORY_ROWS = 200_000


def copies(summaries: pl.LazyFrame, reason: str) -> pl.DataFrame:
    """The decision that drops all but the first row of every cluster.

    `summaries` has an `id` and any number of key columns; keys are compared within their column,
    and a null key is shared with nobody. Two rows are in one cluster when a chain of shared keys
    leads from one to the other. The `detail` of a row is the id of the one that stays.
    """
    if summaries.select(pl.len()).collect().item() <= IN_MEMORY_ROWS:
        summaries = summaries.collect().lazy()
    rows = summaries.with_row_index("row")
    keys = [name for name in summaries.collect_schema().names() if name != "id"]
    linked = [_links(rows.select("row", pl.col(name).alias("key"))) for name in keys]
    links = pl.concat(linked).unique()
    dropped, first = _later_members(links["first"].to_numpy(), links["row"].to_numpy())
    number = rows.collect_schema()["row"]
    table = pl.LazyFrame(
        {"row": pl.Series(dropped, dtype=number), "first": pl.Series(first, dtype=number)}
    )
    ids = rows.select("row", "id")
    members = ids.join(table, on="row").join(ids.rename({"row": "first", "id": "kept"}), on="first")
    decision = members.sort("row").select(
        "id", pl.lit(reason).alias("reason"), pl.format("a copy of {}", "kept").alias("detail")
    )
    return decision.collect(engine="streaming")


def _links(keyed: pl.LazyFrame) -> pl.DataFrame:
    """Each row whose key an earlier row has, with the first row that has it.

    Keys that occur once are out before anything is joined: of a corpus with few copies, little
    more than the keys themselves is ever in memory, and those of one column at a time.
    """
    keyed = keyed.filter(pl.col("key").is_not_null())
    repeated = (
        keyed.group_by("key")
        .agg(pl.len().alias("members"), pl.col("row").min().alias("first"))
        .filter(pl.col("members") > 1)
        .select("key", "first")
    )
    links = keyed.join(repeated, on="key").filter(pl.col("row") != pl.col("first"))
    return links.select("first", "row").collect(engine="streaming")


def _later_members(left: Rows, right: Rows) -> tuple[Rows, Rows]:
    """All rows of the clusters made by the links, but for the first row of each cluster; and these
    first rows, for each of the others."""
    rows, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = ends[: len(left)], ends[len(left) :]
    parent = np.arange(len(rows))
    while True:
        low, high = np.minimum(parent[a], parent[b]), np.maximum(parent[a], parent[b])
        open_links = low != high
        if not open_links.any():
            break
        a, b, low, high = a[open_links], b[open_links], low[open_links], high[open_links]
        # A root joins the lowest root that it is linked to, so parents only ever get lower and the
        # root of a cluster ends as its first row.
        np.minimum.at(parent, high, low)
        while not np.array_equal(parent, grand := parent[parent]):
            parent = grand
    later = np.flatnonzero(parent != np.arange(len(rows)))
    return rows[later], rows[parent[later]]
