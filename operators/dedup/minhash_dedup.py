"""Rows with nearly the same text."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from rensa import RMinHash

from datachef.operators.dedup.copies import Places
from datachef.operators.dedup.keep_rule import KeyedDedup
from datachef.operators.dedup.sketches import SIZE, Similarity, sketches
from datachef.operators.dedup.verified import Compare
from datachef.operators.text.byte_words import lower_case_word_hashes
from datachef.operators.text.words import MULTIPLIER, Hashes, Offsets, ngram_hashes

# Of the hash functions, not of the run: the same text has the same keys in every recipe.
_SEED = 1


class MinHashDedup(KeyedDedup):
    """Drops a row that shares most of its word n-grams with a row that stays.

    Candidates are found by MinHash with locality-sensitive hashing (Broder 1997; Leskovec,
    Rajaraman and Ullman, Mining of Massive Datasets, chapter 3): two rows whose n-grams have a
    Jaccard similarity of `s` share the key of at least one band with a probability of
    `1 - (1 - s ** rows) ** bands`. Unlike in tools that drop all but one row of every connected
    component, a candidate goes only if its n-grams are similar enough to those of one row that
    stays, or contained in them: a chain of copies of copies, as templates make, does not empty a
    source. Similarity is measured on sketches of up to 256 n-grams, exactly for rows of fewer.
    """

    version: ClassVar[int] = 3

    op: Literal["minhash_dedup"] = "minhash_dedup"
    ngram: int = Field(5, ge=1, le=20, description="Words per n-gram.")
    bands: int = Field(
        20, ge=1, le=64, description="Keys per row; more bands find less similar pairs."
    )
    rows: int = Field(
        8, ge=1, le=32, description="Minima per key; more rows spare less similar pairs."
    )
    similarity: float = Field(
        0.75,
        ge=0.3,
        le=1.0,
        examples=[0.6, 0.7, 0.75, 0.8, 0.9],
        description="Jaccard similarity to a row that stays from which a candidate goes.",
    )
    containment: float = Field(
        1.0,
        ge=0.5,
        le=1.0,
        examples=[0.8, 0.9, 1.0],
        description="Share of a candidate's n-grams in a row that stays from which it goes, "
        "however long that row is.",
    )

    def reasons(self) -> tuple[str, ...]:
        return ("near_duplicate",)

    def columns(self, batch: pl.DataFrame) -> list[pl.Series]:
        shingles, offsets = self._shingles(*lower_case_word_hashes(batch["text"]))
        keys = self._band_keys(shingles, offsets)
        some = pl.Series(np.diff(offsets) > 0)
        running = np.zeros(len(shingles) + 1, np.uint64)
        np.cumsum(shingles, out=running[1:])
        whole = pl.Series("key", running[offsets[1:]] - running[offsets[:-1]])
        bands = [pl.Series(f"key_{band}", keys[:, band]) for band in range(self.bands)]
        keyed = [column.set(~some, None) for column in (whole, *bands)]
        return [*keyed, *sketches(shingles, offsets)]

    def summary_bytes(self, tokens: float) -> float:
        return 8 * (self.bands + 1) + 4 * min(tokens, SIZE)

    def compare(self, rows: pl.DataFrame) -> Compare:
        sketched = Similarity(rows)

        def similar(left: Places, right: Places) -> NDArray[np.bool_]:
            jaccard, contained = sketched.measure(left, right)
            return (jaccard >= self.similarity) | (contained >= self.containment)

        return similar

    def _shingles(self, flat: Hashes, offsets: Offsets) -> tuple[Hashes, Offsets]:
        """The n-grams of each row; all words of a row that is too short make one shingle."""
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
