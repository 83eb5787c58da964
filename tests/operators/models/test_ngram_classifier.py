"""Logistic regression finds the one minimum of its loss."""

from __future__ import annotations

import numpy as np
import polars as pl

from datachef.operators.models.ngram_classifier import NGramClassifier
from datachef.operators.text.hashed_ngrams import BUCKETS, ngram_buckets, rarity

WANTED = pl.Series(["two apples and three pears", "how many apples are left", "five pears"])
OTHER = pl.Series(["shares fell", "the market rose and shares fell", "how markets close", "", None])


def trained(regularization: float) -> NGramClassifier:
    other = ngram_buckets(OTHER)
    weights = rarity(other.alias("b").to_frame().lazy(), "b")
    return NGramClassifier.trained(ngram_buckets(WANTED), other, weights, regularization)


def loss(classifier: NGramClassifier, regularization: float) -> float:
    wanted = classifier.probabilities(ngram_buckets(WANTED))
    other = classifier.probabilities(ngram_buckets(OTHER.head(3)))
    size = np.append(classifier.weights, classifier.bias)
    mean = (np.log(wanted).mean() + np.log(1 - other).mean()) / 2
    return float(-mean + regularization / 2 * (size @ size))


def test_no_other_weights_are_better() -> None:
    chance = np.random.default_rng(0)
    for regularization in (0.001, 0.1):
        found = trained(regularization)
        for scale in (1e-3, 1e-2, 0.1):
            step = chance.normal(size=BUCKETS) * (found.weights != 0) * scale
            moved = NGramClassifier(found.rarity, found.weights + step, found.bias + scale)
            assert loss(moved, regularization) > loss(found, regularization)


def test_it_tells_new_texts_apart_and_knows_nothing_of_silence() -> None:
    texts = pl.Series(["four apples", "markets fell", ""])
    fruit, market, silence = trained(0.001).probabilities(ngram_buckets(texts))
    assert fruit > 0.6
    assert market < 0.4
    assert silence == 0


def test_a_text_has_each_of_its_words_and_pairs_once() -> None:
    same = ngram_buckets(pl.Series(["a b a b", "A, b. a!"]))
    assert same.list.len().to_list() == [4, 4]  # a, b, ab, ba
    assert same[0].equals(same[1])
    assert ngram_buckets(pl.Series(["雨が降る"])).list.len().to_list() == [7]
    assert ngram_buckets(pl.Series([], dtype=pl.String)).len() == 0


def test_the_buckets_of_many_short_texts_are_those_of_each() -> None:
    alone = ngram_buckets(pl.Series(["", "a b"]))
    many = ngram_buckets(pl.Series(["", "a b"] * 70_000))
    assert many.list.len().sum() == 3 * 70_000
    assert many.tail(2).equals(alone)
