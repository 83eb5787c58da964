"""Rows with nearly the same text."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from rensa import RMinHash

from datachef.core import Context, CorpusOperator
from datachef.operators.dedup.copies import WORD, copies
from datachef.operators.text.words import MULTIPLIER, Hashes, Offsets, ngram_hashes, word_hashes

# Of the hash functions, not of the run: the same text has the same keys in every recipe.
_SEED = 1


class MinHashDedup(CorpusOperator):
    """Drops a row that shares most of its word n-grams with an earlier row.

    MinHash with locality-sensitive hashing (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of
    Massive Datasets, chapter 3). Two rows whose n-grams have a Jaccard similarity of `s` share the
    key of at least one band with a probability of `1 - (1 - s ** rows) ** bands`; rows that share a
    key are copies, and so are the copies of copies.
    """

    removes_copies: ClassVar[bool] = True

    op: Literal["minhash_dedup"] = "minhash_dedup"
    ngram: int = Field(5, ge=1, le=20, description="Words per n-gram.")
    bands: int = Field(
        20, ge=1, le=64, description="Keys per row; more bands find less similar pairs."
    )
    rows: int = Field(
        8, ge=1, le=32, description="Minima per key; more rows spare less similar pairs."
    )

    def reasons(self) -> tuple[str, ...]:
        return ("near_duplicate",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        words = batch["text"].str.to_lowercase().str.extract_all(WORD)
        shingles, offsets = self._shingles(words)
        keys = self._band_keys(shingles, offsets)
        wordless = np.diff(offsets) == 0
        columns = [
            pl.Series(f"key_{band}", keys[:, band]).set(pl.Series(wordless), None)
            for band in range(self.bands)
        ]
        return batch.select("id", *columns)

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        return copies(summaries, "near_duplicate")

    def _shingles(self, words: pl.Series) -> tuple[Hashes, Offsets]:
        """The n-grams of each row; all words of a row that is too short make one shingle."""
        flat, offsets = word_hashes(words)
        shingles, starts = ngram_hashes(flat, offsets, self.ngram)
        lengths = np.diff(offsets)
        short = np.flatnonzero((lengths > 0) & (lengths < self.ngram))
        if not len(short):
            return shingles, starts
        whole = np.zeros(len(short), np.uint64)
        for position in range(self.ngram - 1):
            longer = lengths[short] > position
            whole[longer] *= MULTIPLIER
            whole[longer] += flat[offsets[short[longer]] + position]
        added = np.zeros(len(lengths), np.int64)
        added[short] = 1
        moved = starts.copy()
        moved[1:] += np.cumsum(added)
        return np.insert(shingles, starts[short], whole), moved

    def _band_keys(self, shingles: Hashes, offsets: Offsets) -> NDArray[np.uint64]:
        """One 64-bit key per row and band, from the minima of that band."""
        minima = RMinHash.digest_matrix_from_flat_token_hashes(
            shingles, offsets.astype(np.uint64), self.bands * self.rows, _SEED
        )
        shape = (len(offsets) - 1, self.bands, self.rows)
        digests = np.array(minima.to_rows(), np.uint64).reshape(shape)
        keys = np.zeros(shape[:2], np.uint64)
        for row in range(self.rows):
            keys = (keys ^ digests[:, :, row]) * MULTIPLIER
            keys ^= keys >> np.uint64(29)
        return keys
