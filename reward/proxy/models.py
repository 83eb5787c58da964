"""The ridge models of the ensemble, and what every smooth model has; `laws` has the fourth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, Protocol

import numpy as np

from datachef.reward.proxy.encoding import (
    EncodedFeatures,
    FittedState,
    Floats,
    Matrix,
    Vector,
    spread_or_one,
)
from datachef.reward.proxy.folds import Mask, train_test_masks
from datachef.reward.proxy.ranks import RankTransform


class SmoothModel(Protocol):
    """A fitted model. `extrapolates` says whether it counts where nothing was measured."""

    extrapolates: ClassVar[bool]

    def predict(self, table: EncodedFeatures) -> Floats:
        """The predicted score of each row."""
        ...


@dataclass(frozen=True)
class TunedModel:
    """A model whose settings were chosen on all rows, with the way to choose them on fewer.

    `refit` learns from part of the rows and, with folds of them, chooses again those settings that
    could have been chosen for the sake of the other rows. Without `inside`, the model counts only
    where nothing was measured.
    """

    model: SmoothModel
    refit: Callable[[EncodedFeatures, Floats, Sequence[Mask]], SmoothModel]
    inside: bool = True


PENALTIES = tuple(10.0 ** np.arange(-2, 4.1, 0.5))
ALL = -1

_COUNTS = (0, 1, 2, 3, 4, 6, 8, ALL)
_PATH_PENALTY = 1.0


class FeatureScreen(FittedState):
    """What a screened ridge uses: the block or not, how many features (`ALL`: no screening), and
    its penalty in units of one standardised row."""

    block: bool
    count: int
    penalty: float


class ScreenedRidge(FittedState):
    """A linear function of the block and of all features; most weights of features may be 0."""

    block: Vector
    features: Vector
    intercept: float

    @classmethod
    def fit(
        cls, block: Floats, features: Floats, scores: Floats, screen: FeatureScreen
    ) -> ScreenedRidge:
        """Features are chosen one by one, each by its correlation with what is not yet explained
        (orthogonal matching pursuit; Pati, Rezaiifar and Krishnaprasad 1993)."""
        chosen = _path(block, features, scores, screen)
        columns = np.hstack([block if screen.block else block[:, :0], features[:, chosen]])
        weights, intercept = _ridge(columns, scores, (screen.penalty,))
        kept = block.shape[1] if screen.block else 0
        of_block, of_features = np.zeros(block.shape[1]), np.zeros(features.shape[1])
        if screen.block:
            of_block[:] = weights[:kept, 0]
        of_features[chosen] = weights[kept:, 0]
        return cls(block=of_block, features=of_features, intercept=float(intercept[0]))

    def predict(self, block: Floats, features: Floats) -> Floats:
        """The prediction of each row."""
        predicted: Floats = block @ self.block + features @ self.features + self.intercept
        return predicted


def tune_screen(
    block: Floats, features: Floats, scores: Floats, masks: Sequence[Mask]
) -> tuple[FeatureScreen, float]:
    """The screen with the least cross-validated squared error, and that error.

    Features are screened anew in every fold, so that one that fits by chance does not pass.
    """
    most = min(max(_COUNTS), features.shape[1], len(scores) // 4)
    counts = [count for count in _COUNTS if count <= most]
    if most == features.shape[1] and ALL in counts and most in counts:
        counts.remove(ALL)
    blocks = [True, False] if block.shape[1] and features.shape[1] else [bool(block.shape[1])]
    candidates = [(b, count) for b in blocks for count in counts]
    errors = {candidate: np.zeros(len(PENALTIES)) for candidate in candidates}
    for train, test in train_test_masks(masks):
        for b in blocks:
            screen = FeatureScreen(block=b, count=most, penalty=1.0)
            path = _path(block[train], features[train], scores[train], screen)
            base = block if b else block[:, :0]
            for count in counts:
                chosen = list(range(features.shape[1])) if count == ALL else path[:count]
                columns = np.hstack([base, features[:, chosen]])
                weights, intercepts = _ridge(columns[train], scores[train], PENALTIES)
                missed = columns[test] @ weights + intercepts - scores[test, None]
                errors[b, count] += (missed**2).sum(axis=0)
    best = min(candidates, key=lambda candidate: float(errors[candidate].min()))
    place = int(np.argmin(errors[best]))
    screen = FeatureScreen(block=best[0], count=best[1], penalty=PENALTIES[place])
    return screen, float(errors[best][place]) / len(scores)


def tune_penalty(columns: Floats, scores: Floats, masks: Sequence[Mask]) -> float:
    """The penalty on all columns with the least cross-validated squared error."""
    errors = np.zeros(len(PENALTIES))
    for train, test in train_test_masks(masks):
        weights, intercepts = _ridge(columns[train], scores[train], PENALTIES)
        missed = columns[test] @ weights + intercepts - scores[test, None]
        errors += (missed**2).sum(axis=0)
    return float(PENALTIES[int(np.argmin(errors))])


def _path(block: Floats, features: Floats, scores: Floats, screen: FeatureScreen) -> list[int]:
    if screen.count == ALL:
        return list(range(features.shape[1]))
    chosen: list[int] = []
    centred = features - features.mean(axis=0)
    centred /= spread_or_one(features)
    base = block if screen.block else block[:, :0]
    for _ in range(screen.count):
        columns = np.hstack([base, features[:, chosen]])
        weights, intercepts = _ridge(columns, scores, (_PATH_PENALTY,))
        residual = scores - columns @ weights[:, 0] - intercepts[0]
        gain = np.abs(residual @ centred)
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
    return chosen


def _ridge(columns: Floats, scores: Floats, penalties: Sequence[float]) -> tuple[Floats, Floats]:
    """Weights (columns, penalties) and intercepts (penalties) on columns as they come; what is
    penalised are the weights of standardised columns."""
    if not columns.shape[1]:
        return np.zeros((0, len(penalties))), np.full(len(penalties), scores.mean())
    mean, deviation = columns.mean(axis=0), spread_or_one(columns)
    left, singular, right = np.linalg.svd((columns - mean) / deviation, full_matrices=False)
    shrunk = singular[:, None] / (singular[:, None] ** 2 + np.asarray(penalties))
    weights = (right.T @ (shrunk * (left.T @ (scores - scores.mean()))[:, None])) / deviation[
        :, None
    ]
    return weights, scores.mean() - mean @ weights


class LinearRidge(FittedState):
    """Ridge regression on shares and features as they are."""

    extrapolates: ClassVar[bool] = True

    name: Literal["linear"] = "linear"
    screen: FeatureScreen
    ridge: ScreenedRidge

    @classmethod
    def fit(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> LinearRidge:
        """The model whose screen has the least cross-validated error."""
        screen, _ = tune_screen(table.shares, table.features, scores, masks)
        ridge = ScreenedRidge.fit(table.shares, table.features, scores, screen)
        return cls(screen=screen, ridge=ridge)

    @classmethod
    def tune(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> TunedModel:
        """All settings are chosen again in every refit."""
        return TunedModel(cls.fit(table, scores, masks), cls.fit)

    def predict(self, table: EncodedFeatures) -> Floats:
        """The predicted score of each row."""
        return self.ridge.predict(table.shares, table.features)


_KNEES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


class SaturatingRidge(FittedState):
    """Ridge regression on `log(1 + share / knee)` and on the other features as they are."""

    extrapolates: ClassVar[bool] = False

    name: Literal["saturating_ridge"] = "saturating_ridge"
    knee: float
    screen: FeatureScreen
    ridge: ScreenedRidge

    @classmethod
    def fit(
        cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask], knee: float
    ) -> SaturatingRidge:
        """The model with this knee whose screen has the least cross-validated error."""
        block = _saturate(table, knee)
        screen, _ = tune_screen(block, table.features, scores, masks)
        ridge = ScreenedRidge.fit(block, table.features, scores, screen)
        return cls(knee=knee, screen=screen, ridge=ridge)

    @classmethod
    def tune(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> TunedModel:
        """The knee of least cross-validated error, which stays in refits."""
        errors = [
            tune_screen(_saturate(table, knee), table.features, scores, masks)[1] for knee in _KNEES
        ]
        knee = _KNEES[int(np.argmin(errors))]
        return TunedModel(cls.fit(table, scores, masks, knee), partial(cls.fit, knee=knee))

    def predict(self, table: EncodedFeatures) -> Floats:
        """The predicted score of each row."""
        return self.ridge.predict(_saturate(table, self.knee), table.features)


def _saturate(table: EncodedFeatures, knee: float) -> Floats:
    return np.log1p(table.shares / knee)


class RankRidge(FittedState):
    """Ridge regression from the ranks of all features but shares to the rank of the score.

    A rank is the share of the measurements that lie below, so that neither an outlier nor a gap
    between good and bad recipes decides. Conover and Iman 1981, "Rank transformations as a bridge
    between parametric and nonparametric statistics".
    """

    extrapolates: ClassVar[bool] = False

    name: Literal["rank_ridge"] = "rank_ridge"
    features: Matrix
    transform: RankTransform
    ridge: ScreenedRidge

    @classmethod
    def fit(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> RankRidge:
        """The model whose penalty has the least cross-validated error."""
        columns, transform = np.sort(table.features, axis=0), RankTransform.of(scores)
        feature_ranks, score_ranks = _ranks(columns, table.features), transform.to_ranks(scores)
        penalty = tune_penalty(feature_ranks, score_ranks, masks)
        none = table.shares[:, :0]
        screen = FeatureScreen(block=False, count=ALL, penalty=penalty)
        ridge = ScreenedRidge.fit(none, feature_ranks, score_ranks, screen)
        return cls(features=columns, transform=transform, ridge=ridge)

    @classmethod
    def tune(cls, table: EncodedFeatures, scores: Floats, masks: Sequence[Mask]) -> TunedModel:
        """All settings are chosen again in every refit."""
        return TunedModel(cls.fit(table, scores, masks), cls.fit)

    def predict(self, table: EncodedFeatures) -> Floats:
        """The predicted score of each row: the measured one at the predicted rank."""
        ranks = _ranks(self.features, table.features)
        predicted = self.ridge.predict(table.shares[:, :0], ranks)
        low, high = self.transform.ranks[0], self.transform.ranks[-1]
        return self.transform.to_scores(np.clip(predicted, low, high))


def _ranks(ordered: Floats, values: Floats) -> Floats:
    """The part of each ordered column that lies below a value; half of what is equal to it."""
    columns = [
        np.searchsorted(known, found, "left") + np.searchsorted(known, found, "right")
        for known, found in zip(ordered.T, values.T, strict=True)
    ]
    return np.stack(columns, axis=1) / (2 * len(ordered))
