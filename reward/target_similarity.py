"""How close a corpus is to the training split of the task: hashed n-grams and a language model.

Unigrams and bigrams of the lower-case words are hashed into buckets, as in DSIR (Xie et al. 2023,
https://arxiv.org/abs/2302.03169).

The language model is one of byte n-grams: how well do the corpus's own n-grams predict the gold
answers of the training split? Orders are interpolated as a hierarchical Dirichlet model (MacKay and
Peto 1995, "A hierarchical Dirichlet language model"). Only n-grams that occur in the examples are
counted, so that a corpus is a sparse vector and mixtures add up.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from datachef.core.contracts.metric import BenchmarkItem
from datachef.core.contracts.task import BenchmarkFile, Examples, Task
from datachef.core.rows.benchmark import read_benchmark
from datachef.core.text.answer_forms import answer_form
from datachef.core.text.final_answers import normalised_answer
from datachef.reward.text_measures import languages_of

BUCKETS = 2**14
WORDS_PER_ROW = 200

_WORD = r"[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{N}]"


def ngram_counts(texts: pl.DataFrame) -> csr_matrix:
    """Counts of n-grams per row: shape (rows, `BUCKETS`)."""
    whole = pl.concat_str("question", "answer", separator="\n").str.to_lowercase()
    words = texts.select(whole.str.extract_all(_WORD).list.head(WORDS_PER_ROW).alias("words"))
    flat = words.with_row_index("row").explode("words").drop_nulls()
    row = flat["row"].to_numpy().astype(np.int64)
    word = flat["words"].hash(seed=1).to_numpy().astype(np.uint64)
    pairs = (word[:-1] * np.uint64(0x9E3779B97F4A7C15)) ^ word[1:]
    same = row[:-1] == row[1:]
    rows = np.concatenate([row, row[:-1][same]])
    buckets = np.concatenate([word, _mixed(pairs[same])]) % np.uint64(BUCKETS)
    ones = np.ones(len(rows), np.float32)
    shape = (texts.height, BUCKETS)
    return csr_matrix((ones, (rows, buckets.astype(np.int64))), shape=shape)


def entropy(counts: NDArray[np.float64]) -> float:
    """Shannon entropy of a distribution of counts in bits."""
    total = counts.sum()
    if total <= 0:
        return 0.0
    shares = counts[counts > 0] / total
    return abs(float((shares * np.log2(shares)).sum()))


def similarity(counts: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    """Cosine of two distributions of counts, and the divergence KL(target | counts) in bits.

    The counts are smoothed by one part in a thousand of a uniform distribution.
    """
    if counts.sum() <= 0 or target.sum() <= 0:
        return 0.0, 20.0
    p, q = target / target.sum(), counts / counts.sum()
    # Not `p @ q`: its last digit depends on how many threads share the product.
    cosine = float((p * q).sum() / np.sqrt((p * p).sum() * (q * q).sum()))
    smooth = 0.999 * q + 0.001 / len(q)
    there = p > 0
    return cosine, float((p[there] * np.log2(p[there] / smooth[there])).sum())


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return values ^ (values >> np.uint64(29))


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


ITEMS = 200
# Answers are labels where the examples have so few that each occurs this often on average.
_PER_LABEL = 5
# From this share of the golds on, all of them are chosen ones.
_MOST = 0.9
OUTLINE_CHARACTERS = 24

_OUTLINE_RULES = (
    (re.compile(r"[^\W\d_]+"), "a"),
    (re.compile(r"\d+"), "0"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class TargetExamples:
    """Up to `ITEMS` examples of the task, drawn by the seed, and as many of its benchmark's golds,
    of which nothing is taken but their form."""

    items: tuple[BenchmarkItem, ...]
    golds: tuple[BenchmarkItem, ...] = ()

    @classmethod
    def of(cls, task: Task, seed: int) -> TargetExamples | None:
        """The examples of a task, or None where it names none. Raises `DatachefError`."""
        if task.examples is None:
            return None
        items = _drawn(task.examples, seed)
        asked = task.benchmark
        golds = _drawn(asked, seed) if isinstance(asked, BenchmarkFile) else ()
        return cls(items, golds) if items else None

    @cached_property
    def texts(self) -> pl.DataFrame:
        """`question` and `answer` of each example."""
        return pl.DataFrame(
            {"question": [i.prompt for i in self.items], "answer": [i.answer for i in self.items]}
        )

    @cached_property
    def model(self) -> TargetModel:
        return TargetModel(self.items)

    @cached_property
    def grams(self) -> NDArray[np.float64]:
        """Counts of hashed word n-grams over all examples."""
        return np.asarray(ngram_counts(self.texts).sum(axis=0), np.float64).ravel()

    @cached_property
    def language(self) -> str:
        """The language that most of the examples are in."""
        whole = self.texts.select(pl.concat_str("question", "answer", separator="\n").alias("text"))
        return Counter(languages_of(whole["text"])).most_common(1)[0][0]

    @cached_property
    def outlines(self) -> Counter[str]:
        return Counter(answer_outline(item.answer) for item in self.items)

    @cached_property
    def forms(self) -> Counter[str]:
        """How answers have to be given: a chosen one stands in the benchmark so; of a number or a
        text only what is looked for does, and the examples show the rest."""
        asked, shown = (
            Counter(self.form(item.prompt, item.answer) for item in items)
            for items in (self.golds, self.items)
        )
        chosen = sum(asked[form] for form in ("letter", "yes_no", "label"))
        return asked if chosen > _MOST * asked.total() else shown

    def form(self, question: str, answer: str) -> str:
        """The form of an answer (`answer_form`), or that it is one of the few that the examples
        have; a document has no question, and no form."""
        if not question:
            return "document"
        form = answer_form(answer)
        return "label" if form == "words" and normalised_answer(answer) in self._labels else form

    @cached_property
    def _labels(self) -> set[str]:
        items = self.golds or self.items
        labels = {normalised_answer(item.answer) for item in items}
        return labels if len(labels) * _PER_LABEL <= len(items) else set()

    @cached_property
    def median_log_chars(self) -> float:
        return float(np.median(np.log1p([len(item.answer) for item in self.items])))


def _drawn(part: BenchmarkFile | Examples, seed: int) -> tuple[BenchmarkItem, ...]:
    items = [item for item in read_benchmark(part) if item.answer]
    return tuple(random.Random(seed).sample(items, ITEMS) if len(items) > ITEMS else items)


def answer_outline(answer: str) -> str:
    """The outline of an answer: runs of letters, digits and space as one character each, then how
    long it is by powers of two."""
    outline = answer[: 4 * OUTLINE_CHARACTERS]
    for pattern, sign in _OUTLINE_RULES:
        outline = pattern.sub(sign, outline)
    return f"{outline[:OUTLINE_CHARACTERS]}|{len(answer).bit_length()}"
