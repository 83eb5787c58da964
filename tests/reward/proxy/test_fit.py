"""From a history to a proxy: what it learns from, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datachef.core import DatachefError, Host, RewardConfig
from datachef.core.contracts.reward import EvaluationConfig
from datachef.core.recipe.contributions import without_each
from datachef.core.recipe.resolving import read_task
from datachef.reward.config import proxy_reward
from datachef.reward.evaluation.evaluator import task_key
from datachef.reward.evaluation_backend import FineTuningBackend
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.noise import noise_of
from datachef.reward.proxy.fit import (
    comparable_measurements,
    feature_table,
    fit_proxy,
    fit_report,
)


def measured(recipe: int, score: float, seed: int = 0, **more: Any) -> MeasurementRecord:
    given: dict[str, Any] = {
        "recipe_name": f"r{recipe}",
        "recipe": "name: r",
        "recipe_key": f"key-{recipe}",
        "task": "fruit",
        "task_key": "task",
        "base_model": "tiny",
        "seed": seed,
        "score": score,
        "scores": {"bits_per_byte": 1.0},
        "features": {"target.cosine": score, "log_rows": 3.0, "share.good": recipe / 20},
        "versions": {},
        "seconds": 1.0,
        "corpus": {"rows": 1, "tokens": 1},
        "training": {"epochs": 1},
        "vocabulary": "v",
    }
    return MeasurementRecord(**given | more)


@pytest.fixture
def history(tmp_path: Path, workspace: Path) -> History:
    """Twenty recipes whose score is told by a feature, three of them measured twice."""
    kept = History(tmp_path / "history.sqlite")
    key = task_key(read_task(workspace / "task.yaml"))
    rng = np.random.default_rng(0)
    for recipe in range(20):
        score = 0.2 + recipe / 40 + rng.normal(0, 0.002)
        kept.add(measured(recipe, score, task_key=key))
        if recipe < 3:
            kept.add(measured(recipe, score + 0.01, seed=1, task_key=key))
    kept.add(measured(0, 0.9, task_key=key, base_model="another"))
    return kept


def test_a_proxy_learns_and_its_report_says_how_well(history: History, workspace: Path) -> None:
    task = read_task(workspace / "task.yaml")
    proxy = fit_proxy(history, task)
    low, high = proxy.predict(feature_table([measured(1, 0.22), measured(18, 0.65)]))
    assert low.value < 0.35
    assert high.value > 0.5
    report = fit_report(history, task)
    found = report.by_recipe["fruit"]
    assert found.recipes == 20
    assert found.rank_correlation.value > 0.9
    assert found.rank_correlation.low <= found.rank_correlation.value
    assert report.noise["fruit"].repeated == 3
    assert report.by_task is None


def test_too_little_is_an_error_that_says_what_to_do(tmp_path: Path, workspace: Path) -> None:
    history = History(tmp_path / "empty.sqlite")
    with pytest.raises(DatachefError) as error:
        fit_proxy(history, read_task(workspace / "task.yaml"))
    assert "chef evaluate" in error.value.hint
    with pytest.raises(DatachefError, match="no task"):
        fit_report(history)


def test_only_measurements_made_alike_are_compared() -> None:
    other = {"training": {"epochs": 2}}
    rows = [measured(0, 0.1), measured(1, 0.2, **other), measured(2, 0.3)]
    assert [m.recipe_name for m in comparable_measurements(rows)] == ["r0", "r2"]
    assert comparable_measurements([]) == []


def test_noise_is_the_deviation_within_and_between_recipes() -> None:
    noise = noise_of([measured(0, 0.1), measured(0, 0.3, seed=1), measured(1, 0.6)])
    assert noise.between_seeds == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert noise.between_recipes == pytest.approx(np.std([0.2, 0.6]))
    assert noise_of([measured(0, 0.1)]).between_seeds is None


def test_a_task_whose_scores_are_chance_teaches_no_proxy(history: History, workspace: Path) -> None:
    task = read_task(workspace / "task.yaml")
    key, way = task_key(task), {"training": {"epochs": 9}}
    rng = np.random.default_rng(0)
    for recipe in range(25):
        for seed in range(3 if recipe < 6 else 1):
            history.add(measured(recipe, rng.uniform(0.4, 0.6), seed, task_key=key, **way))
    noise = noise_of([m for m in history.measurements() if m.training == way["training"]])
    assert (noise.measurable, noise.thoroughly) == (False, 6)
    with pytest.raises(DatachefError, match="not measurable at this scale"):
        fit_proxy(history, task)
    assert fit_report(history, task).noise["fruit"].measurable is False
    assert noise_of([measured(r, r / 9, s) for r in range(6) for s in range(3)]).measurable


def test_without_a_proxy_other_tasks_in_the_history_say_what_is_better(
    history: History, workspace: Path
) -> None:
    """Also where enough of the task itself was measured, if no proxy of it is trusted."""
    task = RewardConfig(workspace / "task.yaml", None, workspace, workspace / "cache")
    options = {"history": str(history.path)}
    backend = FineTuningBackend(EvaluationConfig("proxy", task, workspace / "run", options))
    likeness = {"target.cosine": 0.9}, {"target.cosine": 0.1}
    reward = backend.reward(None)
    assert list(reward.predict(likeness[0]).parts) == ["enough_data"], "one task is too few"
    for recipe in range(40):
        name = f"other-{recipe % 2}"
        history.add(measured(recipe, recipe / 40, task=name, task_key=name))
    reward = backend.reward(None)
    good, bad = (reward.predict(features) for features in likeness)
    assert list(good.parts) == ["other_tasks"]
    assert good.value > bad.value + 0.3


def test_features_that_only_describe_are_not_learned_from() -> None:
    table = feature_table([measured(0, 0.1), measured(1, 0.2, features={"share.odd": 0.5})])
    assert table.columns == ["share.good", "share.odd", "target.cosine"]
    assert table["share.odd"].to_list() == [None, 0.5]


def test_every_source_and_step_is_left_out_once() -> None:
    recipe = {
        "sources": {"a": {"steps": [{"op": "one"}, {"op": "two"}]}, "b": None},
        "mix": {"op": "weighted_mix", "weights": {"a": 1, "b": 0}},
        "steps": [{"op": "three"}],
    }
    variants = {part.path: part for part in without_each(recipe, Host().vocabulary)}
    parts = {path: part.data for path, part in variants.items()}
    assert list(parts) == [
        "sources.a", "sources.a.steps[0]", "sources.a.steps[1]", "sources.b", "steps[0]"
    ]  # fmt: skip
    assert parts["sources.a"] is None
    assert variants["sources.a"].reason == "no other source has a weight"
    (only, _, _) = without_each(
        {"sources": {"a": {"steps": [{"op": "one"}, {"op": "two"}]}}}, Host().vocabulary
    )
    assert (only.path, only.data, only.reason) == ("sources.a", None, "the only source")
    assert parts["sources.b"]["mix"]["weights"] == {"a": 1}
    assert parts["sources.a.steps[0]"]["sources"]["a"]["steps"] == [{"op": "two"}]
    assert len(recipe["steps"]) == 1, "the recipe itself stays as it is"


@pytest.mark.slow
def test_scores_do_not_depend_on_how_many_processes_find_them(
    workspace: Path, mixture: Callable[..., Any]
) -> None:
    def setting(workers: int) -> RewardConfig:
        options = {"workers": workers, "rows": 200}
        cache = workspace / f"cache-{workers}"
        return RewardConfig(
            workspace / "task.yaml", workspace / "pool.yaml", workspace, cache, options=options
        )

    recipes = []
    for share in (0.2, 0.5, 0.9):
        recipe = mixture({"good": share, "prose": 1 - share}, steps=[{"op": "minhash_dedup"}])
        del recipe["pool"]
        recipes.append(recipe)
    scores = []
    for workers in (1, 2):
        reward = proxy_reward(setting(workers))
        scores.append(reward.score_all(recipes, workspace))
        reward.close()
    assert scores[0] == scores[1]
    assert not any(score.gate for score in scores[0]), scores[0]
