"""The cross-validated report on proxies."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from datachef.core import DatachefError
from datachef.reward.proxy.validation import (
    HeldOutTask,
    cross_validate,
    rank_correlation,
    validation,
)


def held_out(task: str, measured: list[float], predicted: list[float]) -> HeldOutTask:
    ones = np.ones(len(measured))
    return HeldOutTask(task, np.array(measured), np.array(predicted), inside=0.5 * ones, count=ones)


def test_rank_correlation() -> None:
    left = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(left, left**3) == pytest.approx(1)
    assert rank_correlation(left, -left) == pytest.approx(-1)
    assert rank_correlation(left, np.array([1.0, 2.0, 4.0, 3.0])) == pytest.approx(0.8)
    assert rank_correlation(left, np.zeros(4)) == 0


def test_figures_are_averaged_over_tasks() -> None:
    good = held_out("good", [0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0])
    bad = held_out("bad", [0.1, 0.2, 0.3, 0.6], [4.0, 3.0, 2.0, 1.0])
    found = validation([good, bad], 0.9, seed=0, resample_tasks=False)
    assert found.rank_correlation.value == pytest.approx(0)
    assert found.by_task == pytest.approx({"good": 1.0, "bad": -1.0})
    # The recipe predicted best is the best of one task and the worst of the other.
    assert found.regret.value == pytest.approx((0.0 + 0.5) / 2)
    assert found.coverage.value == 0.5
    assert (found.measurements, found.recipes, found.tasks, found.nominal) == (8, 8, 2, 0.9)


def test_a_bootstrap_over_tasks_is_wider_where_tasks_differ() -> None:
    tasks = [
        held_out("good", [0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]),
        held_out("bad", [0.1, 0.2, 0.3, 0.4], [4.0, 3.0, 2.0, 1.0]),
    ]
    of_recipes = validation(tasks, 0.9, seed=0, resample_tasks=False).rank_correlation
    of_tasks = validation(tasks, 0.9, seed=0, resample_tasks=True).rank_correlation
    assert of_tasks.high - of_tasks.low > 2 * (of_recipes.high - of_recipes.low)
    assert of_tasks == validation(tasks, 0.9, seed=0, resample_tasks=True).rank_correlation


def history(tasks: int, recipes: int, signal: float) -> tuple[pl.DataFrame, np.ndarray, list, list]:
    """Two measurements of every recipe; tasks differ in level and in the names of their sources."""
    random = np.random.default_rng(0)
    rows, scores, names, homes = [], [], [], []
    for task in range(tasks):
        for recipe in range(recipes):
            quality, noise = random.normal(size=2)
            share = random.uniform()
            row = {"target.cosine": quality, "noise": noise, f"share.{task}a": share}
            row[f"share.{task}b"] = 1 - share
            for _ in range(2):
                rows.append(row)
                score = 10 * task + signal * quality + 0.1 * random.normal()
                scores.append(score)
                names.append(f"recipe {recipe}")
                homes.append(f"task {task}")
    return pl.DataFrame(rows, infer_schema_length=None), np.array(scores), names, homes


def test_what_can_be_learned_is_found_by_recipe_and_by_task() -> None:
    features, scores, recipes, tasks = history(3, 8, signal=1.0)
    report = cross_validate(features, scores, recipes, tasks)
    for part in (report.by_recipe, report.by_task):
        assert part is not None
        assert part.rank_correlation.value > 0.85
        assert part.rank_correlation.low > 0.5
        assert part.rank_correlation.low <= part.rank_correlation.value
        assert part.regret.value < 0.3
        assert part.coverage.value > 0.7
        assert (part.measurements, part.recipes, part.tasks) == (48, 24, 3)
    data = json.loads(json.dumps(report.to_data(), allow_nan=False))
    assert data["by_task"]["by_task"].keys() == {"task 0", "task 1", "task 2"}
    assert report == cross_validate(features, scores, recipes, tasks)


def test_chance_is_not_praised() -> None:
    # Repeated measurements of a recipe share a feature and a score: only folds by recipe tell.
    random = np.random.default_rng(1)
    features = pl.DataFrame({f"f{i}": np.repeat(random.normal(size=16), 3) for i in range(5)})
    scores = np.repeat(random.normal(size=16), 3) + 0.01 * random.normal(size=48)
    recipes = [str(row // 3) for row in range(48)]
    found = cross_validate(features, scores, recipes, ["one"] * 48).by_recipe
    assert found is not None
    assert found.rank_correlation.value < 0.5
    assert (found.measurements, found.recipes) == (48, 16)


def test_a_proxy_is_judged_by_all_but_taught_by_what_it_learned_from() -> None:
    """Measurements that mislead count for the figures of both, and teach the second alone."""
    features, scores, recipes, tasks = history(1, 7, signal=1.0)
    sound = np.arange(14) < 10
    scores[~sound] = 2 * scores[sound].mean() - scores[~sound]
    taught, misled = (
        cross_validate(features, scores, recipes, tasks, by=("recipe",), teaching=rows).by_recipe
        for rows in (sound, None)
    )
    assert taught is not None and misled is not None
    assert (taught.recipes, misled.recipes) == (7, 7)
    assert taught.rank_correlation.value > misled.rank_correlation.value
    few = cross_validate(features, scores, recipes, tasks, by=("recipe",), teaching=~sound)
    assert few.by_recipe is None


def test_too_few_measurements_are_not_reported_on() -> None:
    features, scores, recipes, tasks = history(1, 4, signal=1.0)
    report = cross_validate(features, scores, recipes, tasks)
    assert report.by_recipe is None
    assert report.by_task is None
    with pytest.raises(DatachefError, match="do not belong together"):
        cross_validate(features, scores, recipes[:-1], tasks)
