"""Ridge regression on ranks: of measured features, few measurements tell little but the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from datachef.reward.proxy.arrays import Floats, Matrix, State
from datachef.reward.proxy.folds import Mask
from datachef.reward.proxy.ridge import ALL, Screen, ScreenedRidge, tune_penalty
from datachef.reward.proxy.scale import Scale
from datachef.reward.proxy.smooth import Tuned
from datachef.reward.proxy.table import Table


class RankRidge(State):
    """Ridge regression from the ranks of all features but shares to the rank of the score.

    A rank is the part of the measurements that lie below, so that neither an outlier nor a gap
    between good and bad recipes decides. Conover and Iman 1981, "Rank transformations as a bridge
    between parametric and nonparametric statistics".
    """

    extrapolates: ClassVar[bool] = False

    name: Literal["rank_ridge"] = "rank_ridge"
    features: Matrix
    scale: Scale
    ridge: ScreenedRidge

    @classmethod
    def fit(cls, table: Table, scores: Floats, masks: Sequence[Mask]) -> RankRidge:
        """The model whose penalty has the least cross-validated error."""
        columns, scale = np.sort(table.features, axis=0), Scale.of(scores)
        ranks, places = _ranks(columns, table.features), scale.place(scores)
        penalty = tune_penalty(ranks, places, masks)
        none = table.shares[:, :0]
        screen = Screen(block=False, count=ALL, penalty=penalty)
        ridge = ScreenedRidge.fit(none, ranks, places, screen)
        return cls(features=columns, scale=scale, ridge=ridge)

    @classmethod
    def tune(cls, table: Table, scores: Floats, masks: Sequence[Mask]) -> Tuned:
        """All settings are chosen again in every refit."""
        return Tuned(cls.fit(table, scores, masks), cls.fit)

    def predict(self, table: Table) -> Floats:
        """The predicted score of each row: the measured one at the predicted rank."""
        ranks = _ranks(self.features, table.features)
        places = self.ridge.predict(table.shares[:, :0], ranks)
        return self.scale.score(np.clip(places, self.scale.places[0], self.scale.places[-1]))


def _ranks(ordered: Floats, values: Floats) -> Floats:
    """The part of each ordered column that lies below a value; half of what is equal to it."""
    columns = [
        np.searchsorted(known, found, "left") + np.searchsorted(known, found, "right")
        for known, found in zip(ordered.T, values.T, strict=True)
    ]
    return np.stack(columns, axis=1) / (2 * len(ordered))
