"""Ridge regression on saturating shares: the first percent of a source counts most."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from datachef.reward.proxy.arrays import Floats, State
from datachef.reward.proxy.folds import Mask
from datachef.reward.proxy.ridge import Screen, ScreenedRidge, tune_screen
from datachef.reward.proxy.smooth import Tuned
from datachef.reward.proxy.table import Table

_KNEES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


class SaturatingRidge(State):
    """Ridge regression on `log(1 + share / knee)` and on the other features as they are."""

    extrapolates: ClassVar[bool] = False

    name: Literal["saturating_ridge"] = "saturating_ridge"
    knee: float
    screen: Screen
    ridge: ScreenedRidge

    @classmethod
    def fit(
        cls, table: Table, scores: Floats, masks: Sequence[Mask], knee: float
    ) -> SaturatingRidge:
        """The model with this knee whose screen has the least cross-validated error."""
        block = _saturate(table, knee)
        screen, _ = tune_screen(block, table.features, scores, masks)
        ridge = ScreenedRidge.fit(block, table.features, scores, screen)
        return cls(knee=knee, screen=screen, ridge=ridge)

    @classmethod
    def tune(cls, table: Table, scores: Floats, masks: Sequence[Mask]) -> Tuned:
        """The knee of least cross-validated error, which stays in refits."""
        errors = [
            tune_screen(_saturate(table, knee), table.features, scores, masks)[1] for knee in _KNEES
        ]
        knee = _KNEES[int(np.argmin(errors))]
        return Tuned(cls.fit(table, scores, masks, knee), partial(cls.fit, knee=knee))

    def predict(self, table: Table) -> Floats:
        """The predicted score of each row."""
        return self.ridge.predict(_saturate(table, self.knee), table.features)


def _saturate(table: Table, knee: float) -> Floats:
    return np.log1p(table.shares / knee)
