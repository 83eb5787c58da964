"""Settings that cannot work are refused before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import GrammarLimits, TrainSettings
from datachef.policy.training.train import train

Settings = Callable[..., TrainSettings]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"recipes_per_step": 8, "recipes_per_prompt": 3}, "multiple of recipes_per_prompt"),
        ({"recipes_per_step": 16, "recipes_per_prompt": 4, "batch": 12}, "multiple of batch"),
        ({"vllm": "colocate", "recipes_per_prompt": 4}, "under one grammar"),
        ({"tasks": []}, "at least 1"),
        ({"algorithm": "dpo"}, "'grpo', 'rloo' or 'ppo'"),
        ({"learning": 1}, "learning"),
    ],
)
def test_what_cannot_be_is_refused(settings: Settings, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**changed)


def test_a_batch_may_be_larger_than_a_step(settings: Settings) -> None:
    assert settings(batch=512).batch == 512


def test_paths_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    settings = TrainSettings.model_validate(
        {
            "tasks": [{"task": "a/task.yaml", "pool": "/pools/pool.yaml"}],
            "output": "runs",
            "model": "start",
            "cold_start": {"recipes": ["given.yaml"]},
        }
    ).located_in(tmp_path)
    assert settings.tasks[0].task == tmp_path / "a" / "task.yaml"
    assert settings.tasks[0].pool == Path("/pools/pool.yaml")
    assert settings.output == tmp_path / "runs"
    assert settings.model == str(tmp_path / "start")
    assert settings.cold_start is not None
    assert settings.cold_start.recipes == (tmp_path / "given.yaml",)
    assert TrainSettings(tasks=settings.tasks, output=tmp_path).located_in(tmp_path).model == "tiny"


@pytest.mark.parametrize("algorithm", ["grpo", "rloo", "ppo"])
def test_a_space_of_one_recipe_teaches_nothing_and_breaks_nothing(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    host: Any,
    algorithm: str,
) -> None:
    limits = GrammarLimits(
        operators=("exact_dedup",), sources=("first",), source_steps=0, corpus_steps=0
    )
    only = RecipeTask.load(host, recipe_task.task, recipe_task.pool, limits)
    train(settings(algorithm=algorithm), [only], [tracker], model)
    assert [each.recipe["sources"] for each in tracker.scored] == [{"first": {}}] * 16
