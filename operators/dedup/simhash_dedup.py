"""Rows whose fingerprints differ in a few bits."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb
from typing import ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from datachef.operators.dedup.copies import Places
from datachef.operators.dedup.keep_rule import KeyedDedup
from datachef.operators.dedup.verified import Compare
from datachef.operators.text.byte_words import lower_case_word_hashes
from datachef.operators.text.words import MULTIPLIER, Hashes, Offsets, ngram_hashes

_BITS = 64
# N-grams whose bits a byte can count.
_RUN = 255
# Bits of a hash that tell n-grams of a document apart, under the number of the document.
_GRAM = np.uint64(40)


class SimHashDedup(KeyedDedup):
    """Drops a row whose SimHash fingerprint differs in few bits from that of a row that stays.

    Charikar 2002 (https://doi.org/10.1145/509907.509965), with the tables of Manku, Jain and Das
    Sarma 2007 (https://doi.org/10.1145/1242572.1242592): the 64 bits are cut into blocks, and rows
    that agree in all but `distance` of the blocks are candidates, so that every pair within the
    distance is one. Defaults are those of Data-Juicer's `document_simhash_deduplicator`, which
    drops all but one row of a connected component; here a row goes only if it is near one that
    stays. Each n-gram counts once in a row, however often the row repeats it.
    """

    version: ClassVar[int] = 1

    op: Literal["simhash_dedup"] = "simhash_dedup"
    ngram: int = Field(6, ge=1, le=20, description="Words per n-gram.")
    distance: int = Field(
        4,
        ge=0,
        le=8,
        examples=[1, 2, 3, 4, 5],
        description="Bits in which two fingerprints may differ at the most.",
    )
    blocks: int = Field(
        6,
        ge=2,
        le=10,
        description="Blocks of a fingerprint, more than `distance`; more of them make keys longer, "
        "and compare fewer rows by more keys.",
    )

    @model_validator(mode="after")
    def _blocks_that_agree(self) -> Self:
        if self.blocks <= self.distance:
            raise ValueError("blocks has to be more than distance")
        return self

    def reasons(self) -> tuple[str, ...]:
        return ("near_duplicate",)

    def columns(self, batch: pl.DataFrame) -> list[pl.Series]:
        flat, offsets = lower_case_word_hashes(batch["text"])
        lengths = np.diff(offsets)
        grams, starts = ngram_hashes(flat, offsets, self.ngram)
        prints = _fingerprints(grams, starts)
        # A row that is too short is compared by its words in place of n-grams.
        short = lengths < self.ngram
        inside = np.concatenate([[0], np.cumsum(np.where(short, lengths, 0))])
        prints[short] = _fingerprints(flat[np.repeat(short, lengths)], inside)[short]
        empty = pl.Series(lengths == 0)
        edges = np.linspace(0, _BITS, self.blocks + 1).astype(int)
        masks = [((1 << int(b)) - 1) ^ ((1 << int(a)) - 1) for a, b in pairwise(edges)]
        keys = [
            pl.Series(f"key_{number}", prints & np.uint64(sum(chosen))).set(empty, None)
            for number, chosen in enumerate(combinations(masks, self.blocks - self.distance))
        ]
        return [*keys, pl.Series("fingerprint", prints)]

    def summary_bytes(self, tokens: float) -> float:
        return 8 * (comb(self.blocks, self.distance) + 1)

    def compare(self, rows: pl.DataFrame) -> Compare:
        prints = rows["fingerprint"].to_numpy()

        def similar(left: Places, right: Places) -> NDArray[np.bool_]:
            differing = np.bitwise_count(prints[left] ^ prints[right])
            return np.asarray(differing <= self.distance)

        return similar


def _fingerprints(grams: Hashes, offsets: Offsets) -> Hashes:
    """Of each document 64 bits, each the one that most of its different n-grams have there."""
    document = np.repeat(np.arange(len(offsets) - 1, dtype=np.uint64), np.diff(offsets))
    ordered = np.sort((document << _GRAM) | (grams >> (np.uint64(_BITS) - _GRAM)))
    distinct = ordered[np.diff(ordered, prepend=~ordered[:1]) != 0]
    offsets = np.searchsorted(distinct, np.arange(len(offsets), dtype=np.uint64) << _GRAM)
    grams = (distinct & np.uint64((1 << 40) - 1)) * MULTIPLIER
    grams = (grams ^ (grams >> np.uint64(29))) * MULTIPLIER
    grams ^= grams >> np.uint64(32)
    counts = np.diff(offsets)
    # Runs of n-grams short enough for bits to be counted in bytes.
    runs = -(-counts // _RUN)
    nth = np.arange(runs.sum()) - np.repeat(np.cumsum(runs) - runs, runs)
    starts = np.repeat(offsets[:-1], runs) + nth * _RUN
    owners = np.cumsum(runs) - runs
    some = counts > 0
    packed = np.zeros((len(counts), 8), np.uint8)
    if not len(starts):
        return packed.view("<u8").reshape(-1)
    octets = grams.astype("<u8").view(np.uint8).reshape(-1, 8)
    for octet in range(8):
        spread = np.add.reduceat(_SPREAD[octets[:, octet]], starts)
        ones = spread.view(np.uint8).reshape(-1, 8).astype(np.int64)
        votes = np.add.reduceat(ones, owners[some])
        packed[some, octet] = np.packbits(2 * votes > counts[some, None], axis=1)[:, 0]
    return packed.view("<u8").reshape(-1)


def _spread() -> Hashes:
    """For each byte its bits, each in a byte of its own."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return bits.copy().view(np.uint64).reshape(-1)


_SPREAD = _spread()
