"""What other tasks teach about one of which nothing was measured."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from datachef.core import DatachefError
from datachef.reward.proxy.transfer import TransferPrior, rank_in_task


def measurements(tasks: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray, list[str]]:
    """Tasks differ in the level of similarity and of scores; within one, similarity helps."""
    random = np.random.default_rng(seed)
    names = np.repeat(np.arange(tasks), 20)
    level, similar = 5 * names, random.normal(size=len(names))
    features = pl.DataFrame(
        {
            "target.cosine": similar + level,
            "target.bits_per_byte": -similar + random.normal(size=len(names)) + level,
            "target.length_gap": random.normal(size=len(names)),
        }
    )
    scores = similar + 0.3 * random.normal(size=len(names)) - 10 * level
    return features, scores, [f"task {name}" for name in names]


def test_what_helps_within_tasks_ranks_the_recipes_of_another_whatever_its_level() -> None:
    prior = TransferPrior.fit(*measurements(4))
    features, scores, tasks = measurements(1, seed=1)
    found = prior.predict(features)
    assert np.corrcoef([one.value for one in found], scores)[0, 1] > 0.8
    assert all(one.off_support and 0 < one.value < 1 for one in found)
    ranks = rank_in_task(scores, tasks)
    inside = [one.low <= rank <= one.high for one, rank in zip(found, ranks, strict=True)]
    assert np.mean(inside) >= 0.75
    assert TransferPrior.model_validate(json.loads(prior.model_dump_json())).predict(features) == (
        found
    )


def test_a_feature_that_seems_to_work_the_wrong_way_is_not_believed() -> None:
    features, scores, tasks = measurements(4)
    found = TransferPrior.fit(features, -scores, tasks).predict(features)
    assert np.ptp([one.value for one in found]) < 0.2


def test_unknown_features_do_not_count_and_one_task_is_too_few() -> None:
    features, scores, tasks = measurements(4)
    prior = TransferPrior.fit(features, scores, tasks)
    assert prior.predict(pl.DataFrame({"other": [1.0]}))[0].value == pytest.approx(0.5)
    alone = TransferPrior.fit(features, scores, tasks, signs={"target.length_gap": 1.0})
    assert alone.predict(features) == alone.predict(features.select("target.length_gap"))
    with pytest.raises(DatachefError, match="at least two tasks"):
        TransferPrior.fit(features[:20], scores[:20], tasks[:20])


def test_ranks_within_tasks() -> None:
    found = rank_in_task(np.array([1.0, 3.0, 9.0, 9.0]), ["a", "a", "b", "b"])
    assert found.tolist() == [0.25, 0.75, 0.5, 0.5]
