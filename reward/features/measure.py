"""The features of a cooked sample, by name; `catalogue` says what each means."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from datachef.core.contracts.task import Task
from datachef.reward.features.bank import Bank
from datachef.reward.features.content import (
    questions_and_answers,
    unique_weight,
    written_as_chat,
)
from datachef.reward.features.grams import BUCKETS, entropy, gram_counts, similarity
from datachef.reward.features.languages import languages_of
from datachef.reward.features.signals import (
    QUANTILES,
    SIGNALS,
    measure_signals,
    weighted_quantiles,
)
from datachef.reward.features.target import Target, shape
from datachef.reward.sample.kitchen import SampledCorpus

BITS_PER_BYTE = "target.bits_per_byte"
LOG_UNIQUE_TOKENS = "log_unique_tokens"
SHARE = "share."

_LETTERS_ONLY = r"[^\p{L}]+"


class _Measured(NamedTuple):
    signals: NDArray[np.float64]
    grams: csr_matrix
    target: csr_matrix | None
    shapes: list[str]
    skeletons: list[int]
    languages: list[str]


class FeatureMeter:
    """Measures corpora for one task; remembers what it measured of each text."""

    def __init__(self, task: Task, seed: int = 0) -> None:
        """Raises `DatachefError` where the task's examples cannot be read."""
        self._task = task
        self._target = Target.of(task, seed)
        self._bank = Bank(self._measure)

    def measure(self, corpus: SampledCorpus) -> dict[str, float]:
        """All features of a corpus that holds at least one row; NaN where one has no meaning."""
        features = amounts(corpus, self._task)
        if corpus.rows.height == 0:
            return features
        weights = corpus.rows["weight"].to_numpy()
        unique = unique_weight(corpus).to_numpy()
        places = self._bank.places(questions_and_answers(corpus))
        chunks = self._bank.chunks
        features |= self._signals(places, weights)
        features |= self._duplicates(places, unique)
        features |= self._languages(places, weights)
        spread = self._bank.spread(places, unique)
        grams = np.zeros(BUCKETS)
        for chunk, share in zip(chunks, spread, strict=True):
            if share.any():
                grams += chunk.grams.T @ share
        features["gram_entropy"] = entropy(grams)
        if self._target is not None:
            features |= self._likeness(self._target, places, spread, grams)
        return features

    def _measure(self, texts: pl.DataFrame) -> _Measured:
        letters = texts.select(
            pl.concat_str("question", "answer")
            .str.to_lowercase()
            .str.replace_all(_LETTERS_ONLY, "")
        )
        return _Measured(
            measure_signals(texts),
            gram_counts(texts),
            self._target.model.counts(texts) if self._target is not None else None,
            [shape(answer) for answer in texts["answer"]],
            letters.hash_rows(seed=0).to_list(),
            languages_of(
                texts.select(pl.concat_str("question", "answer", separator="\n"))["question"]
            ),
        )

    def _signals(self, places: NDArray[np.int64], weights: NDArray[np.float64]) -> dict[str, float]:
        values = np.concatenate([chunk.signals for chunk in self._bank.chunks])[places]
        quantiles = weighted_quantiles(values, weights)
        return {
            f"{name}.q{round(100 * q):02d}": float(value)
            for name, row in zip(SIGNALS, quantiles, strict=True)
            for q, value in zip(QUANTILES, row, strict=True)
        }

    def _duplicates(
        self, places: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        skeletons = np.array([s for chunk in self._bank.chunks for s in chunk.skeletons], np.uint64)
        return {
            "duplicate_share": _repeated(places, weights),
            "template_share": _repeated(skeletons[places], weights),
        }

    def _languages(
        self, places: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        known = np.array([code for chunk in self._bank.chunks for code in chunk.languages])
        shares = pl.DataFrame({"language": known[places], "weight": weights})
        sizes = dict(shares.group_by("language").agg(pl.col("weight").sum()).iter_rows())
        features = {"language_entropy": entropy(np.array([sizes[name] for name in sorted(sizes)]))}
        if self._target is not None:
            share = sizes.get(self._target.language, 0.0) / sum(sizes.values())
            features["target.language_share"] = share
        return features

    def _likeness(
        self,
        target: Target,
        places: NDArray[np.int64],
        spread: list[NDArray[np.float64]],
        grams: NDArray[np.float64],
    ) -> dict[str, float]:
        counts: NDArray[np.float64] | None = None
        shapes: Counter[str] = Counter()
        for chunk, share in zip(self._bank.chunks, spread, strict=True):
            there = np.flatnonzero(share)
            if not len(there) or chunk.target is None:
                continue
            counted = chunk.target.T @ share
            counts = counted if counts is None else counts + counted
            for index in there:
                shapes[chunk.shapes[index]] += share[index]
        assert counts is not None
        cosine, divergence = similarity(grams, target.grams)
        total, examples = sum(shapes.values()), target.shapes.total()
        overlap = sum(min(shapes[s] / total, n / examples) for s, n in target.shapes.items())
        median = np.concatenate([chunk.signals for chunk in self._bank.chunks])[places, 0]
        return {
            BITS_PER_BYTE: target.model.bits_per_byte(counts),
            "target.coverage": target.model.coverage(counts),
            "target.cosine": cosine,
            "target.divergence": divergence,
            "target.shape_overlap": float(overlap),
            "target.length_gap": abs(float(np.median(median)) - target.median_log_chars),
        }


def amounts(corpus: SampledCorpus, task: Task) -> dict[str, float]:
    """How much there is, and of which source."""
    rows = corpus.rows
    if rows.height == 0:
        return {"log_rows": 0.0, "log_tokens": 0.0} | {
            f"share.{name}": 0.0 for name in corpus.sources
        }
    table = rows.select(
        "source", "weight", unique_weight(corpus).alias("unique"),
        (pl.col("weight") * pl.col("tokens")).alias("size"),
    )  # fmt: skip
    sizes = dict(table.group_by("source").agg(pl.col("size").sum()).sort("source").iter_rows())
    tokens = sum(sizes.values())
    unique_tokens = float((table["unique"] * rows["tokens"]).sum())
    shares = {name: sizes.get(name, 0.0) / tokens if tokens else 0.0 for name in corpus.sources}
    epochs = {name: corpus.sources[name].epochs for name in shares}
    budget = task.budget.tokens if task.budget is not None else None
    made = rows["synthesized_by"].is_not_null() if "synthesized_by" in rows.columns else None
    chats = rows["messages"].is_not_null() if written_as_chat(corpus) else None
    total = float(rows["weight"].sum())
    return {
        "log_rows": math.log1p(total),
        "log_tokens": math.log1p(tokens),
        LOG_UNIQUE_TOKENS: math.log1p(unique_tokens),
        "budget_share": tokens / budget if budget else math.nan,
        "sources": float(sum(share > 0 for share in shares.values())),
        "source_entropy": entropy(np.array(list(shares.values()))),
        "epochs": sum(shares[name] * epochs[name] for name in shares),
        "max_epochs": max((epochs[n] for n in shares if shares[n] > 0), default=0.0),
        "synthetic_share": float(rows["weight"].filter(made).sum()) / total
        if made is not None
        else 0.0,
        "chat_share": float(rows["weight"].filter(chats).sum()) / total
        if chats is not None
        else 0.0,
        **{f"share.{name}": share for name, share in shares.items()},
    }


def source_shares(corpus: SampledCorpus) -> dict[str, float]:
    """The share of the corpus's tokens that each source has; they add up to 1."""
    size = (pl.col("weight") * pl.col("tokens")).sum()
    sizes = dict(corpus.rows.group_by("source").agg(size).sort("source").iter_rows())
    tokens = sum(sizes.values())
    return {name: sizes.get(name, 0.0) / tokens if tokens else 0.0 for name in corpus.sources}


def _repeated(names: NDArray[np.int64] | NDArray[np.uint64], weights: NDArray[np.float64]) -> float:
    """The share of rows, by weight, that are not the first of their name in the sample."""
    _, first = np.unique(names, return_index=True)
    total = weights.sum()
    return float(1 - weights[first].sum() / total) if total else 0.0
