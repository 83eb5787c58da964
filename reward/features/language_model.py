"""A byte-level n-gram model of the corpus, asked for the answers of the task's examples.

What fine-tuning will teach in minutes is in part told by counting: how well do the corpus's own
n-grams predict the gold answers of the training split? Orders are interpolated as a hierarchical
Dirichlet model (MacKay and Peto 1995, "A hierarchical Dirichlet language model"). Only n-grams that
occur in the examples are counted, so that a corpus is a sparse vector and mixtures add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from datachef.core.rows.benchmark import BenchmarkItem

ORDER = 6
CONCENTRATION = 2.0
QUESTION_BYTES = 64
ANSWER_BYTES = 400

_BEGIN, _END, _GAP = 2, 3, 0
_FILTER_BITS = 22
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]


class _Stream(NamedTuple):
    """All rows in one array of bytes with gaps between: `row` of each byte, `scored` those that
    belong to answers."""

    data: NDArray[np.uint8]
    row: NDArray[np.int64]
    scored: NDArray[np.bool_]


class TargetModel:
    """Counts of the examples' n-grams in texts, and the bits per byte that they give."""

    def __init__(self, items: Sequence[BenchmarkItem]) -> None:
        texts = pl.DataFrame(
            {"question": [i.prompt for i in items], "answer": [i.answer for i in items]},
            schema={"question": pl.String, "answer": pl.String},
        )
        stream = _stream(texts)
        self._bytes = int(stream.scored.sum())
        contexts, grams = zip(*(_hashes(stream, order) for order in range(ORDER)), strict=True)
        wanted = np.concatenate([h[stream.scored] for h in (*contexts, *grams)])
        self._known = np.unique(wanted)
        self._filter = np.zeros(2**_FILTER_BITS, np.bool_)
        self._filter[self._known >> np.uint64(64 - _FILTER_BITS)] = True
        places = np.searchsorted(self._known, wanted).reshape(2, ORDER, self._bytes)
        self._contexts, self._grams = places[0], places[1]

    def counts(self, texts: pl.DataFrame) -> csr_matrix:
        """How often each n-gram of the examples occurs in each row: (rows, n-grams)."""
        stream = _stream(texts)
        rows, grams = [], []
        for order in range(ORDER):
            for hashes in _hashes(stream, order):
                maybe = np.flatnonzero(self._filter[hashes >> np.uint64(64 - _FILTER_BITS)])
                found = np.searchsorted(self._known, hashes[maybe])
                found[found == len(self._known)] = 0
                hit = self._known[found] == hashes[maybe]
                rows.append(stream.row[maybe[hit]])
                grams.append(found[hit])
        place = (np.concatenate(rows), np.concatenate(grams))
        ones = np.ones(len(place[0]), np.float32)
        return csr_matrix((ones, place), shape=(texts.height, len(self._known)))

    def bits_per_byte(self, counts: NDArray[np.float64]) -> float:
        """What the gold answers cost a model with these counts of n-grams."""
        probability = np.full(self._bytes, 1 / 256)
        for order in range(ORDER):
            seen, followed = counts[self._contexts[order]], counts[self._grams[order]]
            probability = (followed + CONCENTRATION * probability) / (seen + CONCENTRATION)
        return float(-np.log2(probability).mean()) if self._bytes else float("nan")

    def coverage(self, counts: NDArray[np.float64]) -> float:
        """The share of the longest n-grams of the examples that occur at all."""
        return float((counts[self._grams[ORDER - 1]] > 0).mean()) if self._bytes else float("nan")


def _stream(texts: pl.DataFrame) -> _Stream:
    """Documents have no question, and their bytes no marks of where an answer begins and ends."""
    parts, lengths, scored = [], [], []
    for question, answer in texts.iter_rows():
        body = answer.encode()[:ANSWER_BYTES]
        if question:
            before = question.encode()[-QUESTION_BYTES:] + bytes([_BEGIN])
            body += bytes([_END])
        else:
            before = b""
        parts.append(before + body + bytes([_GAP]))
        lengths.append(len(parts[-1]))
        scored.append(np.arange(lengths[-1]) >= len(before))
        scored[-1][-1] = False
    data = np.frombuffer(b"".join(parts), np.uint8)
    row = np.repeat(np.arange(len(parts)), lengths)
    return _Stream(data, row, np.concatenate(scored) if scored else np.zeros(0, np.bool_))


def _hashes(stream: _Stream, order: int) -> tuple[Hashes, Hashes]:
    """At each byte the hash of the `order` bytes before it, and of these with the byte itself."""
    data = stream.data.astype(np.uint64)
    context = np.full(len(data), order + 1, np.uint64)
    for back in range(1, order + 1):
        before = np.zeros_like(data)
        before[back:] = data[:-back]
        context = (context ^ (before + np.uint64(1))) * _PRIME
        context ^= context >> np.uint64(29)
    gram = (context ^ ((data + np.uint64(257)) << np.uint64(13))) * _PRIME
    gram ^= gram >> np.uint64(32)
    return context * _PRIME, gram * _PRIME
