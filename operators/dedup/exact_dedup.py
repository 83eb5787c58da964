"""Rows with the same text."""

from __future__ import annotations

from hashlib import blake2b
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import Context, CorpusOperator
from datachef.operators.dedup.copies import compatible, copies


class ExactDedup(CorpusOperator):
    """Drops a row whose text an earlier row has already.

    Texts are compared by a 128-bit BLAKE2b digest: among a trillion different texts, the chance
    that any two are taken for equal is below one in a hundred million.
    """

    removes_copies: ClassVar[bool] = True

    op: Literal["exact_dedup"] = "exact_dedup"
    normalize: bool = Field(
        False,
        description="Treat texts as equal that differ only in case, spacing, punctuation or "
        "Unicode form.",
    )

    def reasons(self) -> tuple[str, ...]:
        return ("duplicate",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        text = batch["text"]
        if self.normalize:
            text = normalized(text)
        keys = [None if t is None else blake2b(t.encode(), digest_size=16).digest() for t in text]
        return batch.select("id", pl.Series("key", keys, dtype=pl.Binary))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        return copies(summaries, "duplicate")


def normalized(text: pl.Series) -> pl.Series:
    """The letters, marks and digits of each text, in lower case and compatibility form (NFKC).

    A text that has none of them is left as it is: two different rows of symbols are not copies.
    """
    plain = compatible(text).str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", "")
    return plain.zip_with((plain != "").fill_null(True), text)
