"""Features of which more is better, or worse, whatever the task: only their weights are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from datachef.reward.config import reward_package
from datachef.reward.proxy.encoding import EncodedFeatures, FittedState, Floats, Vector
from datachef.reward.proxy.folds import Mask
from datachef.reward.proxy.models import TunedModel
from datachef.reward.proxy.ranks import RankTransform

# Weights are pulled to equal ones as if by this many rows; these stand a recipe that is a standard
# deviation better in everything as far from the middle as ranks are on average.
_PENALTY = 10.0
_EQUAL = 0.3
# Standard deviations beyond which a feature is no better or worse: some have no bounds.
_MOST = 2.0


def bounded(deviations: Floats) -> Floats:
    """Deviations of features with their signs, none of which outweighs all others."""
    clipped: Floats = np.clip(np.nan_to_num(deviations), -_MOST, _MOST)
    return clipped


def near_equal_weights(columns: Floats, ranks: Floats) -> Floats:
    """Weights of `bounded` columns that are at least 0 and near equal ones, for ranks around 0.

    Dawes 1979, "The robust beauty of improper linear models in decision making": where few rows
    teach, equal weights of features with the right signs predict better than weights that fit.
    """
    count = columns.shape[1]
    if not count:
        return np.zeros(0)
    pull = np.sqrt(_PENALTY) * np.eye(count)
    equal = np.full(count, np.sqrt(_PENALTY) * _EQUAL / count)
    weights, _ = reward_package("scipy.optimize").nnls(
        np.vstack([columns, pull]), np.concatenate([ranks, equal])
    )
    found: Floats = np.asarray(weights)
    return found


class SignedModel(FittedState):
    """The rank of a score from the features whose signs are known, with weights near equal ones."""

    extrapolates: ClassVar[bool] = False

    name: Literal["signed"] = "signed"
    weights: Vector
    centre: Vector
    middle: float
    transform: RankTransform

    @classmethod
    def fit(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> SignedModel:
        """The model; there is nothing to choose."""
        transform = RankTransform.of(scores)
        ranks, columns = transform.to_ranks(scores), bounded(table.features * table.signs)
        centre, middle = columns.mean(axis=0), float(ranks.mean())
        known = table.signs != 0
        weights = np.zeros(columns.shape[1])
        weights[known] = near_equal_weights((columns - centre)[:, known], ranks - middle)
        return cls(weights=weights, centre=centre, middle=middle, transform=transform)

    @classmethod
    def tune(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> TunedModel:
        """It learns anew in every refit."""
        return TunedModel(cls.fit(table, scores, masks), cls.fit)

    def predict(self, table: EncodedFeatures) -> Floats:
        """The predicted score of each row: the measured one at the predicted rank."""
        columns = bounded(table.features * table.signs)
        predicted = self.middle + (columns - self.centre) @ self.weights
        low, high = self.transform.ranks[0], self.transform.ranks[-1]
        return self.transform.to_scores(np.clip(predicted, low, high))
