"""The features of a recipe, by name: what a proxy predicts scores from."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from datachef.core.contracts.task import Task
from datachef.core.text.conversations import as_text
from datachef.reward.embedding_similarity import EmbeddedExamples
from datachef.reward.proxy.encoding import BITS_PER_BYTE, LOG_UNIQUE_TOKENS, SHARE
from datachef.reward.sampled_run import SampledCorpus
from datachef.reward.target_similarity import (
    BUCKETS,
    TargetExamples,
    answer_outline,
    entropy,
    ngram_counts,
    similarity,
)
from datachef.reward.text_measures import (
    QUANTILES,
    SIGNALS,
    TextCache,
    languages_of,
    measure_signals,
    weighted_quantiles,
)

# Statistics of content are taken from the beginning of long texts.
CHARACTERS = 2000
_LETTERS_ONLY = r"[^\p{L}]+"
FEATURE_DESCRIPTIONS = {
    "log_rows": "natural logarithm of the rows of the corpus plus 1",
    "log_tokens": "natural logarithm of the tokens of the corpus plus 1",
    "log_unique_tokens": "the same, every row counted once however often it is repeated",
    "budget_share": "tokens per token of the task's budget",
    "sources": "number of sources that are left in the corpus",
    "source_entropy": "entropy of the sources' shares of tokens, in bits",
    "epochs": "how often a row is taken, on average over tokens",
    "max_epochs": "how often a row of the most repeated source is taken",
    "synthetic_share": "share of rows that a language model made",
    "chat_share": "share of rows that are written as conversations",
    "duplicate_share": "share of rows whose text an earlier row of the sample has",
    "template_share": "the same, leaving aside digits, punctuation and case",
    "gram_entropy": "entropy of the hashed word unigrams and bigrams, in bits",
    "language_entropy": "entropy of the languages of rows, in bits",
    "contaminated_share": "share of rows that hold items of the benchmark",
    "target.bits_per_byte": "bits per byte of the examples' answers under the corpus's own n-grams",
    "target.coverage": "share of the longest n-grams of the examples' answers that occur",
    "target.cosine": "cosine of the hashed word n-grams of the corpus and of the examples",
    "target.divergence": "divergence of the examples' hashed word n-grams from the corpus's, bits",
    "target.language_share": "share of rows in the language of most examples",
    "target.embedding_similarity": "mean cosine of embeddings of rows with the nearest example",
    "target.embedding_coverage": "mean cosine of embeddings of examples with the nearest row",
    "target.form_match": "overlap of the forms of answers (letter, number, label, prose ...) with "
    "those that the task asks for",
    "target.shape_overlap": "overlap of the outlines of answers with those of the examples",
    "target.length_gap": "distance of the median log length of answers from the examples'",
    "verifier.value": "what the judges think of sampled rows, 0 to 1",
    "verifier.standard_error": "standard error of what the judges think",
}


def describe_feature(name: str) -> str:
    """What a feature means; empty for an unknown name."""
    if name.startswith(SHARE):
        return f"share of the corpus's tokens that are of the source {name.removeprefix(SHARE)}"
    if ".q" in name:
        signal, quantile = name.rsplit(".q", 1)
        if signal in SIGNALS:
            return f"{int(quantile)} % quantile of: {SIGNALS[signal][0]}"
    return FEATURE_DESCRIPTIONS.get(name, "")


class FeatureExtractor:
    """Extracts the features of corpora for one task, and measures each text once."""

    def __init__(self, task: Task, seed: int = 0, encoder: str | None = None) -> None:
        """`encoder` is the asset that embeds texts; without, what embeddings tell is unknown.

        Raises `DatachefError` where the task's examples cannot be read, or the asset is not there.
        """
        self._task = task
        self._target = TargetExamples.of(task, seed)
        self._embedded = None
        if encoder is not None and self._target is not None:
            self._embedded = EmbeddedExamples(encoder, self._target.texts)
        self._cache = TextCache(self._measure)

    def extract(self, corpus: SampledCorpus) -> dict[str, float]:
        """All features of a corpus by name; NaN where one is not defined."""
        features = amounts(corpus, self._task)
        if corpus.rows.height == 0:
            return features
        corpus = corpus.thinned()
        weights = corpus.rows["weight"].to_numpy()
        unique = corpus.unique_weights().to_numpy()
        texts = questions_and_answers(corpus)
        indices = self._cache.indices(texts)
        chunks = self._cache.chunks
        features |= self._signals(indices, weights)
        features |= self._duplicates(indices, unique)
        features |= self._languages(indices, weights)
        chunk_weights = self._cache.chunk_weights(indices, unique)
        grams = np.zeros(BUCKETS)
        for chunk, share in zip(chunks, chunk_weights, strict=True):
            if share.any():
                grams += chunk.grams.T @ share
        features["gram_entropy"] = entropy(grams)
        if self._target is not None:
            features |= self._similarity(self._target, indices, chunk_weights, grams)
        if self._embedded is not None:
            features |= self._embedded.similarity(texts, weights)
        return features

    def _measure(self, texts: pl.DataFrame) -> _TextFeatures:
        letters = texts.select(
            pl.concat_str("question", "answer")
            .str.to_lowercase()
            .str.replace_all(_LETTERS_ONLY, "")
        )
        return _TextFeatures(
            measure_signals(texts),
            ngram_counts(texts),
            self._target.model.counts(texts) if self._target is not None else None,
            [answer_outline(answer) for answer in texts["answer"]],
            [self._target.form(*text) for text in texts.iter_rows()] if self._target else [],
            letters.hash_rows(seed=0).to_list(),
            languages_of(
                texts.select(pl.concat_str("question", "answer", separator="\n"))["question"]
            ),
        )

    def _signals(
        self, indices: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        values = np.concatenate([chunk.signals for chunk in self._cache.chunks])[indices]
        quantiles = weighted_quantiles(values, weights)
        return {
            f"{name}.q{round(100 * q):02d}": float(value)
            for name, row in zip(SIGNALS, quantiles, strict=True)
            for q, value in zip(QUANTILES, row, strict=True)
        }

    def _duplicates(
        self, indices: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        skeletons = np.array(
            [s for chunk in self._cache.chunks for s in chunk.skeletons], np.uint64
        )
        return {
            "duplicate_share": _repeated_share(indices, weights),
            "template_share": _repeated_share(skeletons[indices], weights),
        }

    def _languages(
        self, indices: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        known = np.array([code for chunk in self._cache.chunks for code in chunk.languages])
        sizes = _sums(known[indices], weights)
        features = {"language_entropy": entropy(np.array(list(sizes.values())))}
        if self._target is not None:
            share = sizes.get(self._target.language, 0.0) / sum(sizes.values())
            features["target.language_share"] = share
        return features

    def _similarity(
        self,
        target: TargetExamples,
        indices: NDArray[np.int64],
        chunk_weights: list[NDArray[np.float64]],
        grams: NDArray[np.float64],
    ) -> dict[str, float]:
        counts: NDArray[np.float64] | None = None
        outlines: Counter[str] = Counter()
        forms: Counter[str] = Counter()
        for chunk, share in zip(self._cache.chunks, chunk_weights, strict=True):
            there = np.flatnonzero(share)
            if not len(there) or chunk.target is None:
                continue
            counted = chunk.target.T @ share
            counts = counted if counts is None else counts + counted
            for index in there:
                outlines[chunk.outlines[index]] += share[index]
                forms[chunk.forms[index]] += share[index]
        assert counts is not None
        cosine, divergence = similarity(grams, target.grams)
        median = np.concatenate([chunk.signals for chunk in self._cache.chunks])[indices, 0]
        return {
            BITS_PER_BYTE: target.model.bits_per_byte(counts),
            "target.coverage": target.model.coverage(counts),
            "target.cosine": cosine,
            "target.divergence": divergence,
            "target.form_match": _overlap(forms, target.forms),
            "target.shape_overlap": _overlap(outlines, target.outlines),
            "target.length_gap": abs(float(np.median(median)) - target.median_log_chars),
        }


class _TextFeatures(NamedTuple):
    signals: NDArray[np.float64]
    grams: csr_matrix
    target: csr_matrix | None
    outlines: list[str]
    forms: list[str]
    skeletons: list[int]
    languages: list[str]


def amounts(corpus: SampledCorpus, task: Task) -> dict[str, float]:
    """How much there is, and of which source."""
    rows = corpus.rows
    if rows.height == 0:
        return {"log_rows": 0.0, "log_tokens": 0.0} | {
            f"{SHARE}{name}": 0.0 for name in corpus.sources
        }
    sizes = _tokens_by_source(rows)
    tokens = sum(sizes.values())
    unique_tokens = float((corpus.unique_weights() * rows["tokens"]).sum())
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
        **{f"{SHARE}{name}": share for name, share in shares.items()},
    }


def source_shares(corpus: SampledCorpus) -> dict[str, float]:
    """The share of the corpus's tokens that each source has; they add up to 1."""
    sizes = _tokens_by_source(corpus.rows)
    tokens = sum(sizes.values())
    return {name: sizes.get(name, 0.0) / tokens if tokens else 0.0 for name in corpus.sources}


def _tokens_by_source(rows: pl.DataFrame) -> dict[str, float]:
    return _sums(rows["source"].to_numpy(), (rows["weight"] * rows["tokens"]).to_numpy())


def _sums(keys: NDArray[Any], values: NDArray[np.float64]) -> dict[str, float]:
    """The sum of the values of each key, added in the order of the rows: a sum of a group in polars
    differs in its last digit with the number of threads."""
    names, which = np.unique(keys, return_inverse=True)
    return dict(zip(names.tolist(), np.bincount(which, values).tolist(), strict=True))


def questions_and_answers(corpus: SampledCorpus) -> pl.DataFrame:
    """`question` and `answer` of each row: the last turn of a conversation and what comes before
    it, or nothing and the text of a document. Both are cut, the question at its beginning.

    Conversations that are written as text, as beside documents, teach no answers: they count as
    the documents that they become.
    """
    rows = corpus.rows
    answer = pl.col("text")
    question = pl.lit("")
    if written_as_chat(corpus):
        turns = pl.col("messages").list
        before = rows.select(turns.head(turns.len() - 1))["messages"]
        chat = pl.col("messages").is_not_null()
        answer = pl.when(chat).then(as_text(rows["messages"].list.tail(1))).otherwise(answer)
        question = pl.when(chat).then(as_text(before)).otherwise(question)
    return rows.select(
        question.fill_null("").str.tail(CHARACTERS).alias("question"),
        answer.fill_null("").str.head(CHARACTERS).alias("answer"),
    )


def written_as_chat(corpus: SampledCorpus) -> bool:
    """Whether the corpus is written as conversations."""
    return corpus.schema != "text" and "messages" in corpus.rows.columns


def _overlap(found: Counter[str], wanted: Counter[str]) -> float:
    """The part that two distributions share."""
    total, whole = sum(found.values()), wanted.total()
    return float(sum(min(found[name] / total, n / whole) for name, n in wanted.items()))


def _repeated_share(
    names: NDArray[np.int64] | NDArray[np.uint64], weights: NDArray[np.float64]
) -> float:
    """The share of rows, by weight, that are not the first of their name in the sample."""
    _, first = np.unique(names, return_index=True)
    total = weights.sum()
    return float(1 - weights[first].sum() / total) if total else 0.0
