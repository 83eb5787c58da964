"""Scores as ranks among the measured ones, and back."""

from __future__ import annotations

import numpy as np

from datachef.reward.proxy.encoding import FittedState, Floats, Vector


class RankTransform(FittedState):
    """Maps scores to their ranks among the measured ones, in [0, 1], and back: on ranks, no model
    outweighs the others by misjudging the size of a gap between good and bad recipes.

    Linear between measured scores; beyond them, with the slope between the first and the last.
    `unit` is the standard deviation of the scores.
    """

    scores: Vector
    ranks: Vector
    unit: float

    @classmethod
    def of(cls, scores: Floats) -> RankTransform:
        """The transform of these measured scores."""
        known, counts = np.unique(scores, return_counts=True)
        below = np.cumsum(counts) - counts / 2
        unit = float(scores.std()) or 1.0
        return cls(scores=known, ranks=below / len(scores), unit=unit)

    def to_ranks(self, scores: Floats) -> Floats:
        """The ranks of scores."""
        inside = np.interp(scores, self.scores, self.ranks)
        beyond = scores - np.clip(scores, self.scores[0], self.scores[-1])
        ranks: Floats = inside + beyond * self._slope
        return ranks

    def to_scores(self, ranks: Floats) -> Floats:
        """The scores at ranks."""
        inside = np.interp(ranks, self.ranks, self.scores)
        beyond = ranks - np.clip(ranks, self.ranks[0], self.ranks[-1])
        scores: Floats = inside + beyond / self._slope
        return scores

    @property
    def _slope(self) -> float:
        spread = float(self.scores[-1] - self.scores[0])
        return float(self.ranks[-1] - self.ranks[0]) / spread if spread else 1.0 / self.unit

    def soft_clip(self, scores: Floats) -> Floats:
        """The scores in the same order, but beyond the measured ones they grow only as a logarithm
        does."""
        low, high = self.scores[0], self.scores[-1]
        above = self.unit * np.log1p(np.maximum(scores - high, 0.0) / self.unit)
        below = self.unit * np.log1p(np.maximum(low - scores, 0.0) / self.unit)
        clipped: Floats = np.clip(scores, low, high) + above - below
        return clipped

    def pooled_ranks(self, predictions: Floats, weights: Floats) -> Floats:
        """The weighted mean rank of predicted scores, rows by models."""
        pooled: Floats = (self.to_ranks(predictions) * weights).sum(axis=1)
        return pooled
