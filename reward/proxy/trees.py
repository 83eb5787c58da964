"""Boosted trees on what the smooth models leave: interactions that no formula foresaw."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.reward.proxy.arrays import Floats, State
from datachef.reward.proxy.table import Table

_ROUNDS = (0, 10, 25, 50, 100, 200, 400, 800)
_ROUNDS_PER_ROW = 4


class ResidualTrees(State):
    """A LightGBM model (Ke et al. 2017), as the text that LightGBM itself writes."""

    text: str

    @classmethod
    def fit(cls, table: Table, residuals: Floats, rounds: int, seed: int) -> ResidualTrees:
        """Learns what is to be added to the smooth prediction.

        Raises `MissingPackageError` without the package lightgbm.
        """
        lightgbm = _lightgbm()
        options = {
            "objective": "l2",
            "num_leaves": 16,
            # With LightGBM's own 20 rows a leaf, fewer than 40 rows give a constant.
            "min_data_in_leaf": 5 if len(residuals) >= 100 else 3,
            "min_data_in_bin": 1,
            "learning_rate": 0.02,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "feature_fraction": 0.7,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(_columns(table), label=residuals)
        booster = lightgbm.train(options, data, num_boost_round=rounds)
        return cls(text=booster.model_to_string())

    def predict(self, table: Table, rounds: int = -1) -> Floats:
        """What to add to the smooth prediction of each row; of the first `rounds` trees, or all."""
        if rounds == 0:
            return np.zeros(len(table))
        predicted = self._booster.predict(_columns(table), num_iteration=rounds, num_threads=1)
        return np.asarray(predicted, np.float64)

    @cached_property
    def _booster(self) -> Any:
        return _lightgbm().Booster(model_str=self.text)


def rounds_to_try(rows: int) -> list[int]:
    """Numbers of trees worth trying, from none upwards: the fewer rows, the fewer trees."""
    return [rounds for rounds in _ROUNDS if rounds <= _ROUNDS_PER_ROW * rows]


def _columns(table: Table) -> Floats:
    return np.hstack([table.shares, table.features])


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingPackageError("lightgbm", extra("reward"), "the proxy") from error
    return lightgbm
