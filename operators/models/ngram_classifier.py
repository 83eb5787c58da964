"""A linear classifier of texts by their words and pairs of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.hashed_ngrams import BUCKETS, Weights, flat_buckets
from datachef.operators.text.words import document_of

# By then weights move no more at the regularizations that are offered.
_STEPS = 200
# Of texts of length 1, the most that the slope of the mean loss can change: 1/4, with a bias twice.
_CURVATURE = 0.5


@dataclass(frozen=True)
class NGramClassifier:
    """Logistic regression on buckets of `ngram_buckets` that weigh by how rare they are, each text
    as a vector of length 1.

    Trained on all texts at each step, in one order: the same texts give the same classifier.
    """

    rarity: Weights
    weights: Weights
    bias: float

    @classmethod
    def trained(
        cls, wanted: pl.Series, other: pl.Series, rarity: Weights, regularization: float
    ) -> Self:
        """A classifier that tells wanted texts from others, given as buckets; both sides count the
        same, however many texts they have.

        Accelerated gradient descent (Nesterov) on a loss with one minimum.
        """
        both = [buckets.filter(buckets.list.len() > 0) for buckets in (wanted, other)]
        sizes = [len(buckets) for buckets in both]
        texts = _Texts.of(pl.concat(both), rarity)
        label = np.repeat([1.0, 0.0], sizes)
        share = np.repeat([0.5 / max(size, 1) for size in sizes], sizes)
        solution, ahead = np.zeros(BUCKETS + 1), np.zeros(BUCKETS + 1)
        curvature = _CURVATURE + regularization
        root = np.sqrt(regularization / curvature)
        for _ in range(_STEPS):
            error = share * (_probability(texts.products(ahead[:-1]) + ahead[-1]) - label)
            slope = np.append(texts.sums(error), error.sum()) + regularization * ahead
            last, solution = solution, ahead - slope / curvature
            ahead = solution + (1 - root) / (1 + root) * (solution - last)
        return cls(rarity, solution[:-1], float(solution[-1]))

    def probabilities(self, buckets: pl.Series) -> NDArray[np.float64]:
        """How likely each text is a wanted one, for sides of one size; 0 without words."""
        texts = _Texts.of(buckets, self.rarity)
        found = _probability(texts.products(self.weights) + self.bias)
        return np.where(np.diff(texts.offsets) > 0, found, 0.0)


@dataclass(frozen=True)
class _Texts:
    """Vectors of length 1: the buckets of all texts, what each weighs, where each text begins."""

    buckets: NDArray[np.uint16]
    values: Weights
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, buckets: pl.Series, rarity: Weights) -> Self:
        flat, offsets = flat_buckets(buckets)
        values = rarity[flat]
        lengths = np.sqrt(_added(values**2, offsets))
        return cls(flat, values / lengths[document_of(offsets)], offsets)

    def products(self, weights: Weights) -> Weights:
        """The product of each text with the weights of the buckets."""
        return _added(self.values * weights[self.buckets], self.offsets)

    def sums(self, of_texts: Weights) -> Weights:
        """For each bucket the sum of the texts, each times its number."""
        values = self.values * of_texts[document_of(self.offsets)]
        found: Weights = np.bincount(self.buckets, values, BUCKETS).astype(np.float64, copy=False)
        return found


def _added(values: Weights, offsets: NDArray[np.int64]) -> Weights:
    """The sum of the values of each text, 0 of one without; it rounds alike wherever the text
    stands."""
    found = np.zeros(len(offsets) - 1)
    filled = np.diff(offsets) > 0
    if filled.any():
        found[filled] = np.add.reduceat(values, offsets[:-1][filled])
    return found


def _probability(value: Weights) -> Weights:
    result: Weights = 1.0 / (1.0 + np.exp(-np.clip(value, -500, 500)))
    return result
