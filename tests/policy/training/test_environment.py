"""The values that TRL gets are those of the reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from datachef.core import Reward, Score
from datachef.core.language_models.checkpoint import load_tokenizer
from datachef.policy.grammar import Grammar, draft_text
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import TrainSettings
from datachef.policy.space import RandomChooser
from datachef.policy.training.environment import (
    PromptSample,
    RecipeRewardFunction,
)
from datachef.policy.training.grammar_trainer import GrammarCache
from datachef.policy.training.log import RecipeLog, read_log
from datachef.policy.training.train import train


class State:
    """As much of a trainer's state as rewards read."""

    global_step = 7


class Gate(Reward):
    """Stops recipes of both sources; of the others, prefers the first."""

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        if len(recipe["sources"]) == 2:
            return Score(-1.5, gate="guardrails")
        return Score(0.8 if "first" in recipe["sources"] else 0.5)


def test_recipes_are_scored_for_their_own_task_and_in_their_order(
    recipe_task: RecipeTask, model: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(model)
    prompt = recipe_task.prompt(GrammarCache(tokenizer).count_tokens, 256)
    both = [ScoreTracker(Gate(), tmp_path), ScoreTracker(Gate(), tmp_path)]
    asked, metrics = (
        [PromptSample(prompt, number) for number in (0, 1, 0)],
        list[tuple[str, float]](),
    )
    scores = RecipeRewardFunction(
        tokenizer, asked, [recipe_task, recipe_task], both, RecipeLog(tmp_path / "log", 0)
    )
    grammar = Grammar(recipe_task.space.schema(), tokenizer)
    drafts = [recipe_task.space.draw(RandomChooser(number)) for number in range(6)]
    numbers = [2, 1, 0, 1, 2, 1]
    told = scores(
        completion_ids=[grammar.encode(draft_text(draft)) for draft in drafts],
        sample=numbers,
        trainer_state=State,
        log_metric=lambda *metric: metrics.append(metric),
    )
    expected = [
        Gate().score(recipe_task.space.recipe(draft, ""), tmp_path).value for draft in drafts
    ]
    assert len(set(expected)) > 1
    assert told == expected
    assert metrics == [("value", pytest.approx(fmean(expected)))]
    for number, tracker in enumerate(both):
        own = [asked[sample].task == number for sample in numbers]
        values = [value for value, here in zip(expected, own, strict=True) if here]
        assert [each.score.value for each in tracker.scored] == values
    log = read_log(tmp_path / "log")
    assert {row.step for row in log} == {7}
    assert {row.recipe["name"] for row in log} == {f"step-7-{number}" for number in range(6)}
    assert all((row.value == -1.5) == (row.gate == "guardrails") for row in log)


def test_the_log_and_what_is_told_hold_true_values(
    settings: Callable[..., TrainSettings], recipe_task: RecipeTask, model: Path, tmp_path: Path
) -> None:
    asked, means = settings(steps=3), list[float]()
    train(
        asked,
        [recipe_task],
        [ScoreTracker(Gate(), tmp_path)],
        model,
        on_progress=lambda _, mean: means.append(mean),
    )
    log = read_log(asked.output)
    assert {(row.value, row.gate) for row in log} == {(-1.5, "guardrails"), (0.8, ""), (0.5, "")}
    for step, mean in enumerate(means):
        assert fmean(row.value for row in log if row.step == step) == pytest.approx(mean)
