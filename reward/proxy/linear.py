"""The plain linear model: crude among the measurements, least surprising away from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from datachef.reward.proxy.arrays import Floats, State
from datachef.reward.proxy.folds import Mask
from datachef.reward.proxy.ridge import Screen, ScreenedRidge, tune_screen
from datachef.reward.proxy.smooth import Tuned
from datachef.reward.proxy.table import Table


class Linear(State):
    """Ridge regression on shares and features as they are."""

    extrapolates: ClassVar[bool] = True

    name: Literal["linear"] = "linear"
    screen: Screen
    ridge: ScreenedRidge

    @classmethod
    def fit(cls, table: Table, scores: Floats, masks: Sequence[Mask]) -> Linear:
        """The model whose screen has the least cross-validated error."""
        screen, _ = tune_screen(table.shares, table.features, scores, masks)
        ridge = ScreenedRidge.fit(table.shares, table.features, scores, screen)
        return cls(screen=screen, ridge=ridge)

    @classmethod
    def tune(cls, table: Table, scores: Floats, masks: Sequence[Mask]) -> Tuned:
        """All settings are chosen again in every refit."""
        return Tuned(cls.fit(table, scores, masks), cls.fit)

    def predict(self, table: Table) -> Floats:
        """The predicted score of each row."""
        return self.ridge.predict(table.shares, table.features)
