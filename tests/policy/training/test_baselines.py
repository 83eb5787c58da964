"""The searches that a training is compared with: as many reward calls, none of them twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datachef.core import Score
from datachef.core.system.outputs import OutputFolder
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import BASELINES, TRAINING, TrainSettings
from datachef.policy.training.log import LOG_FILE, RecipeLog, read_log
from datachef.policy.training.results import score_baselines


def trained(settings: TrainSettings, recipe_task: RecipeTask, steps: range) -> None:
    """As if a training had scored recipes in these steps."""
    OutputFolder.open(settings.output, TRAINING)
    log = RecipeLog(settings.output, steps.start)
    recipe: dict[str, Any] = {"name": "mine", "sources": {"first": {}}}
    for step in steps:
        log.add(step, recipe_task.name, [recipe] * 8, [Score(0.5)] * 8)


def test_a_longer_training_adds_to_what_its_baselines_scored(
    settings: Callable[..., TrainSettings], recipe_task: RecipeTask, reward: Any, tmp_path: Path
) -> None:
    asked = settings(baselines=("random", "sources"))

    def scored() -> tuple[bytes, int]:
        """The log of the random recipes, and how often the reward was asked for it."""
        before = len(reward.asked)
        score_baselines(asked, [recipe_task], [ScoreTracker(reward, tmp_path)])
        file = asked.output / BASELINES / "random" / LOG_FILE
        return file.read_bytes(), len(reward.asked) - before

    trained(asked, recipe_task, range(2))
    first, calls = scored()
    assert len(first.splitlines()) == 16
    assert 0 < calls <= 16 + 4
    assert scored() == (first, 0)
    # What a kill cut off is scored again.
    file = asked.output / BASELINES / "random" / LOG_FILE
    file.write_bytes(first[:-10])
    assert scored()[0] == first
    trained(asked, recipe_task, range(2, 3))
    longer, calls = scored()
    assert longer.startswith(first)
    assert len(longer.splitlines()) == 24
    assert calls <= 8
    sources = read_log(asked.output / BASELINES / "sources")
    assert [list(row.recipe["sources"]) for row in sources[-2:]] == [["first"], ["second"]]
