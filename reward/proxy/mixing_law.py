"""The exponential mixing law: every source moves the score, by less and less."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.reward.proxy.arrays import Floats, State, Vector
from datachef.reward.proxy.folds import Mask, held_out
from datachef.reward.proxy.smooth import Tuned
from datachef.reward.proxy.table import Table

_PENALTIES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
_STEEPEST = 30.0


class MixingLaw(State):
    """`limit + sign * exp(level + (shares - mean) . slopes)`, on shares alone.

    Ye et al. 2024, "Data mixing laws" (https://arxiv.org/abs/2403.16952). The slopes are
    penalised, in units of a row's squared error in standardised scores, so that the law can be
    fitted to fewer rows than there are sources.
    """

    extrapolates: ClassVar[bool] = True

    name: Literal["mixing_law"] = "mixing_law"
    penalty: float
    limit: float
    sign: float
    level: float
    slopes: Vector
    mean: Vector

    @classmethod
    def fit(
        cls, table: Table, scores: Floats, penalty: float, start: MixingLaw | None = None
    ) -> MixingLaw:
        """Least squares. `start` gives the sign and where to begin; without, both are tried."""
        centre, unit = float(scores.mean()), float(scores.std()) or 1.0
        target, mean = (scores - centre) / unit, table.shares.mean(axis=0)
        columns = table.shares - mean
        begin: list[tuple[float, Floats]]
        if start is None:
            begin = [(sign, _first_guess(columns, target, sign)) for sign in (1.0, -1.0)]
        else:
            level = start.level + (mean - start.mean) @ start.slopes - np.log(unit)
            begin = [(start.sign, np.array([(start.limit - centre) / unit, level, *start.slopes]))]
        solutions = [_solve(columns, target, sign, first, penalty) for sign, first in begin]
        _, sign, best = min(solutions, key=lambda solution: solution[0])
        return cls(
            penalty=penalty,
            limit=centre + unit * best[0],
            sign=sign,
            level=best[1] + np.log(unit),
            slopes=best[2:],
            mean=mean,
        )

    @classmethod
    def tune(cls, table: Table, scores: Floats, masks: Sequence[Mask]) -> Tuned:
        """The penalty of least cross-validated error, which stays in refits."""
        tried = []
        for penalty in _PENALTIES:
            whole = cls.fit(table, scores, penalty)
            error = 0.0
            for train, test in held_out(masks):
                law = cls.fit(table.take(train), scores[train], penalty, start=whole)
                error += float(((law.predict(table.take(test)) - scores[test]) ** 2).sum())
            tried.append((error, penalty, whole))
        _, penalty, whole = min(tried, key=lambda settings: settings[0])
        return Tuned(whole, partial(cls._refit, penalty=penalty))

    @classmethod
    def _refit(
        cls, table: Table, scores: Floats, masks: Sequence[Mask], penalty: float
    ) -> MixingLaw:
        return cls.fit(table, scores, penalty)

    def predict(self, table: Table) -> Floats:
        """The predicted score of each row."""
        exponent = self.level + (table.shares - self.mean) @ self.slopes
        predicted: Floats = self.limit + self.sign * np.exp(np.minimum(exponent, _STEEPEST))
        return predicted


def _first_guess(columns: Floats, target: Floats, sign: float) -> Floats:
    """Linear regression of the logarithm of the distance to a limit beyond all scores."""
    limit = target.min() - 1 if sign > 0 else target.max() + 1
    logarithm = np.log(np.abs(target - limit))
    level = logarithm.mean()
    gram = columns.T @ columns + 0.01 * len(target) / columns.shape[1] * np.eye(columns.shape[1])
    slopes = np.linalg.solve(gram, columns.T @ (logarithm - level))
    return np.array([limit, level, *slopes])


def _solve(
    columns: Floats, target: Floats, sign: float, first: Floats, penalty: float
) -> tuple[float, float, Floats]:
    """The cost, the sign, and limit, level and slopes."""
    try:
        from scipy.optimize import least_squares
    except ImportError as error:
        raise MissingPackageError("scipy", extra("reward"), "the proxy") from error
    rows, sources = columns.shape
    weight = np.sqrt(penalty * rows)
    below = np.hstack([np.zeros((sources, 2)), weight * np.eye(sources)])

    def power(q: Floats) -> Floats:
        grown: Floats = sign * np.exp(np.minimum(q[1] + columns @ q[2:], _STEEPEST))
        return grown

    def residuals(q: Floats) -> Floats:
        return np.concatenate([q[0] + power(q) - target, weight * q[2:]])

    def jacobian(q: Floats) -> Any:
        grown = power(q)[:, None]
        return np.vstack([np.hstack([np.ones((rows, 1)), grown, grown * columns]), below])

    found = least_squares(residuals, first, jacobian, method="lm", max_nfev=100)
    return float(found.cost), sign, found.x
