"""Ridge regression on a block of columns that stay and on features that must earn their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datachef.reward.proxy.arrays import Floats, State, Vector, spread_or_one
from datachef.reward.proxy.folds import Mask, held_out

PENALTIES = tuple(10.0 ** np.arange(-2, 4.1, 0.5))
ALL = -1

_COUNTS = (0, 1, 2, 3, 4, 6, 8, ALL)
_PATH_PENALTY = 1.0


class Screen(State):
    """What a screened ridge takes: the block or not, how many features (`ALL`: no screening), and
    its penalty in units of one standardised row."""

    block: bool
    count: int
    penalty: float


class ScreenedRidge(State):
    """A linear function of the block and of all features; most weights of features may be 0."""

    block: Vector
    features: Vector
    intercept: float

    @classmethod
    def fit(cls, block: Floats, features: Floats, scores: Floats, screen: Screen) -> ScreenedRidge:
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
) -> tuple[Screen, float]:
    """The screen with the least cross-validated squared error, and that error.

    Features are screened again in every fold, so that one which fits by luck is found out.
    """
    most = min(max(_COUNTS), features.shape[1], len(scores) // 4)
    counts = [count for count in _COUNTS if count <= most]
    if most == features.shape[1] and ALL in counts and most in counts:
        counts.remove(ALL)
    blocks = [True, False] if block.shape[1] and features.shape[1] else [bool(block.shape[1])]
    candidates = [(b, count) for b in blocks for count in counts]
    errors = {candidate: np.zeros(len(PENALTIES)) for candidate in candidates}
    for train, test in held_out(masks):
        for b in blocks:
            screen = Screen(block=b, count=most, penalty=1.0)
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
    screen = Screen(block=best[0], count=best[1], penalty=PENALTIES[place])
    return screen, float(errors[best][place]) / len(scores)


def tune_penalty(columns: Floats, scores: Floats, masks: Sequence[Mask]) -> float:
    """The penalty on all columns with the least cross-validated squared error."""
    errors = np.zeros(len(PENALTIES))
    for train, test in held_out(masks):
        weights, intercepts = _ridge(columns[train], scores[train], PENALTIES)
        missed = columns[test] @ weights + intercepts - scores[test, None]
        errors += (missed**2).sum(axis=0)
    return float(PENALTIES[int(np.argmin(errors))])


def _path(block: Floats, features: Floats, scores: Floats, screen: Screen) -> list[int]:
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
