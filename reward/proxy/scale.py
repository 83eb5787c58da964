"""Where a score stands among those that were measured."""

from __future__ import annotations

import numpy as np

from datachef.reward.proxy.arrays import Floats, State, Vector


class Scale(State):
    """Scores as places among the measured ones, from 0 to 1, and back: on it, no model outweighs
    the others by being wrong about the size of a gap between good and bad recipes.

    Linear between measured scores, and beyond them as steep as between the first and the last.
    `unit` is their standard deviation.
    """

    scores: Vector
    places: Vector
    unit: float

    @classmethod
    def of(cls, scores: Floats) -> Scale:
        """The scale of these measured scores."""
        known, counts = np.unique(scores, return_counts=True)
        below = np.cumsum(counts) - counts / 2
        unit = float(scores.std()) or 1.0
        return cls(scores=known, places=below / len(scores), unit=unit)

    def place(self, scores: Floats) -> Floats:
        """Where the scores stand."""
        inside = np.interp(scores, self.scores, self.places)
        beyond = scores - np.clip(scores, self.scores[0], self.scores[-1])
        placed: Floats = inside + beyond * self._slope
        return placed

    def score(self, places: Floats) -> Floats:
        """The scores that stand there."""
        inside = np.interp(places, self.places, self.scores)
        beyond = places - np.clip(places, self.places[0], self.places[-1])
        scored: Floats = inside + beyond / self._slope
        return scored

    @property
    def _slope(self) -> float:
        spread = float(self.scores[-1] - self.scores[0])
        return float(self.places[-1] - self.places[0]) / spread if spread else 1.0 / self.unit

    def soften(self, scores: Floats) -> Floats:
        """The scores in the same order, none of which runs away: beyond the measured ones they grow
        like a logarithm only."""
        low, high = self.scores[0], self.scores[-1]
        above = self.unit * np.log1p(np.maximum(scores - high, 0.0) / self.unit)
        below = self.unit * np.log1p(np.maximum(low - scores, 0.0) / self.unit)
        softened: Floats = np.clip(scores, low, high) + above - below
        return softened

    def pool(self, predictions: Floats, weights: Floats) -> Floats:
        """The mean place of predictions of scores, rows by models."""
        pooled: Floats = (self.place(predictions) * weights).sum(axis=1)
        return pooled
