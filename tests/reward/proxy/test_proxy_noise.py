"""Forty features of noise beside three that count, and two dozen measurements."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from datachef.reward.proxy.proxy import Proxy
from datachef.reward.proxy.validation import rank_correlation

COUNT = 24


def measurements(seed: int, count: int, real: int = 3) -> tuple[pl.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 43))
    scores = values[:, :real].sum(axis=1) / np.sqrt(3) + 0.3 * random.normal(size=count)
    return pl.DataFrame({f"feature{i:02d}": values[:, i] for i in range(43)}), scores


@pytest.mark.slow
def test_noise_does_not_hurt_left_out_recipes() -> None:
    found = []
    for seed in range(3):
        features, scores = measurements(seed, COUNT)
        predicted = np.empty(COUNT)
        for row in range(COUNT):
            rest = np.arange(COUNT) != row
            proxy = Proxy.fit(features.filter(rest), scores[rest])
            predicted[row] = proxy.predict(features[row])[0].value
        found.append(rank_correlation(predicted, scores))
    assert np.mean(found) > 0.8


def test_intervals_are_honest_when_most_features_are_noise() -> None:
    covered, flagged, ranked = [], [], []
    for seed in range(6):
        features, scores = measurements(seed, COUNT + 200)
        proxy = Proxy.fit(features[:COUNT], scores[:COUNT])
        found = proxy.predict(features[COUNT:])
        measured = scores[COUNT:]
        covered += [p.low <= y <= p.high for p, y in zip(found, measured, strict=True)]
        flagged += [p.off_support for p in found]
        ranked.append(rank_correlation(np.array([p.value for p in found]), measured))
    assert 0.85 <= np.mean(covered) <= 0.98
    assert np.mean(flagged) <= 0.10
    assert np.mean(ranked) > 0.75


def test_nothing_is_learned_from_nothing() -> None:
    features, scores = measurements(0, COUNT + 200, real=0)
    proxy = Proxy.fit(features[:COUNT], scores[:COUNT])
    found = proxy.predict(features[COUNT:])
    # Were a feature of noise believed, predictions would vary about as much as the scores do.
    assert np.std([p.value for p in found]) < 0.5 * scores.std()
    assert np.mean([p.uncertainty for p in found]) > 0.7 * scores.std()
