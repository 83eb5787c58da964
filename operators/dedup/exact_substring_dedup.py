"""Long runs of words that occur again."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core import Outcome
from datachef.operators.dedup.text_cutter import TextCutter, dropping
from datachef.operators.text.words import UNSPACED, lists_of, ngram_hashes, word_hashes

# With the white space before it, so that the pieces together are the text.
_PIECE = rf"\s*(?:[{UNSPACED}]|[\S--[{UNSPACED}]]+)|\s+$"


class ExactSubstringDedup(TextCutter):
    """Removes runs of 50 words and more that the corpus has before, or drops documents with many.

    ExactSubstr of Lee et al. 2022 (https://arxiv.org/abs/2107.06499). Each run of `words` words is
    looked up by a 64-bit hash where the paper builds a suffix array of the corpus: what is found is
    the same, for the runs of `words` words of a longer repeated one are repeated too, but hashes
    are made in parallel and counted in parts, while a suffix array needs several times the corpus
    in memory. Words stand between white space (in scripts without spaces each character is one)
    where the paper has tokens of GPT-2; white space itself does not count. The first occurrence
    stays, also within a document. Conversations are left alone.
    """

    op: Literal["exact_substring_dedup"] = "exact_substring_dedup"
    words: int = Field(
        50,
        ge=10,
        le=1_000,
        examples=[25, 50, 100, 200],
        description="Words of the shortest run that goes.",
    )
    action: Literal["remove", "drop"] = Field(
        "remove",
        description="Whether repeated runs are removed, or documents dropped that have many.",
    )
    min_share: float = Field(
        0.2,
        gt=0.0,
        le=1.0,
        description="With `action: drop`, the share of repeated words from which a document goes.",
    )

    separator: ClassVar[str] = ""
    unit: ClassVar[str] = "words"

    def reasons(self) -> tuple[str, ...]:
        return ("emptied",) if self.action == "remove" else ("repeated_text",)

    @property
    def run(self) -> int:
        return self.words

    def pieces(self) -> pl.Expr:
        return pl.col("text").fill_null("").str.extract_all(_PIECE)

    def hashes(self, documents: pl.DataFrame) -> pl.Series:
        pieces = documents.select(self.pieces().list.eval(pl.element().str.strip_chars_start()))
        flat, offsets = word_hashes(pieces.to_series())
        windows, starts = ngram_hashes(flat, offsets, self.words)
        return lists_of(pl.Series(windows), starts)

    def cut(
        self, batch: pl.DataFrame, rows: pl.DataFrame, gone: pl.DataFrame, runs: pl.DataFrame
    ) -> Outcome:
        if self.action == "remove":
            return super().cut(batch, rows, gone, runs)
        share = np.zeros(batch.height)
        repeated = np.bincount(gone["row"].to_numpy(), minlength=batch.height)
        places = rows["row"].to_numpy()
        share[places] = repeated[places] / rows["pieces"].list.len().to_numpy()
        keep = pl.Series(share < self.min_share)
        return dropping(batch, batch, keep, runs, "repeated_text")
