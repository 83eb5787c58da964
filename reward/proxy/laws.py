"""The law of mixtures: a score as a ceiling less an exponential of what each source adds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from datachef.reward.config import reward_package
from datachef.reward.proxy.encoding import EncodedFeatures, FittedState, Floats, Vector
from datachef.reward.proxy.folds import Mask, first_unless_better, train_test_masks
from datachef.reward.proxy.models import TunedModel

_STEEPEST = 30.0


class LawSettings(NamedTuple):
    """`knee` is the amount of a source at which more of it begins to add less, as a share of the
    corpus; `harm` says whether a source may lower the score by itself."""

    knee: float
    harm: bool


# The first is taken unless another one predicts held-out rows better by more than chance.
_SETTINGS = tuple(
    LawSettings(knee, harm)
    for knee, harm in [
        (0.1, False), (0.03, False), (0.3, False), (1.0, False), (0.1, True), (0.3, True),
    ]
)  # fmt: skip
# The prior on effects, as a squared effect per row; harmful ones are this many times less likely.
_PRIOR = 0.05
_HARM_PRIOR = 10.0
# A weak prior on the logarithm of the distance from the best score to the ceiling.
_CEILING_PRIOR = 1e-3
_STARTS = tuple((effect, gap) for effect in (0.05, 0.5) for gap in (0.0, 1.5))


class SaturatingLaw(FittedState):
    """`ceiling - exp(level - log(1 + amounts / knee) . effects)`: every source adds to the score,
    and more of it adds less.

    On losses this is a power law in the amount of each source above an irreducible loss, as in laws
    of scaling (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361). Effects are positive unless
    measurements speak clearly for harm: at a given size, what a useless source costs is the room
    that it takes from others.
    """

    extrapolates: ClassVar[bool] = True

    name: Literal["saturating_law"] = "saturating_law"
    knee: float
    harm: bool
    ceiling: float
    level: float
    effects: Vector
    mean: Vector

    @classmethod
    def fit(
        cls,
        table: EncodedFeatures,
        scores: Floats,
        settings: LawSettings,
        starts: Sequence[tuple[float, float]] = _STARTS,
    ) -> SaturatingLaw:
        """The best of several starts, by a loss that outliers do not decide (pseudo-Huber)."""
        minimize = reward_package("scipy.optimize").minimize
        centre, unit = float(scores.mean()), float(scores.std()) or 1.0
        target, columns = (scores - centre) / unit, np.log1p(table.amounts / settings.knee)
        mean = columns.mean(axis=0)
        scale = float(np.sqrt(columns.var(axis=0).mean())) or 1.0
        columns = (columns - mean) / scale
        sources, top = columns.shape[1], float(target.max())
        bounds = [(-6.0, 6.0), (None, None)] + [(None if settings.harm else 0.0, None)] * sources
        solutions = [
            minimize(
                _law_cost,
                np.array([gap, np.log1p(np.exp(gap)), *[effect] * sources]),
                args=(columns, target, top),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                # Remembering more steps than parameters comes close to Newton's.
                options={"maxiter": 300, "maxcor": 20},
            )
            for effect, gap in starts
        ]
        gap, level, *effects = min(solutions, key=lambda solution: float(solution.fun)).x
        return cls(
            knee=settings.knee,
            harm=settings.harm,
            ceiling=centre + unit * (top + float(np.exp(gap))),
            level=level + float(np.log(unit)),
            effects=np.array(effects) / scale,
            mean=mean,
        )

    @classmethod
    def tune(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> TunedModel:
        """The settings of least cross-validated error, which stay in refits."""
        missed = np.zeros((len(scores), len(_SETTINGS)))
        for train, test in train_test_masks(masks):
            seen, unseen = table.take(train), table.take(test)
            for column, settings in enumerate(_SETTINGS):
                law = cls.fit(seen, scores[train], settings, _STARTS[:1])
                missed[test, column] = (law.predict(unseen) - scores[test]) ** 2
        settings = _SETTINGS[first_unless_better(missed)]
        return TunedModel(cls.fit(table, scores, settings), partial(cls._refit, settings=settings))

    @classmethod
    def _refit(
        cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask], settings: LawSettings
    ) -> SaturatingLaw:
        return cls.fit(table, scores, settings, _STARTS[:1])

    def predict(self, table: EncodedFeatures) -> Floats:
        """The predicted score of each row."""
        effect = (np.log1p(table.amounts / self.knee) - self.mean) @ self.effects
        predicted: Floats = self.ceiling - np.exp(np.minimum(self.level - effect, _STEEPEST))
        return predicted


def _law_cost(q: Floats, columns: Floats, target: Floats, top: float) -> tuple[float, Floats]:
    """The cost of log distance to the ceiling, level and effects, and its gradient."""
    gap, level, effects = q[0], q[1], q[2:]
    left = np.exp(np.minimum(level - columns @ effects, _STEEPEST))
    missed = top + np.exp(gap) - left - target
    root = np.sqrt(1 + missed**2)
    prior = _PRIOR / len(target) * np.where(effects < 0, _HARM_PRIOR, 1.0)
    cost = 2 * (root - 1).mean() + (prior * effects**2).sum() + _CEILING_PRIOR * gap**2
    slope = 2 * missed / root / len(target)
    gradient = np.concatenate(
        [
            [slope.sum() * np.exp(gap) + 2 * _CEILING_PRIOR * gap, -slope @ left],
            (slope * left) @ columns + 2 * prior * effects,
        ]
    )
    return float(cost), gradient
