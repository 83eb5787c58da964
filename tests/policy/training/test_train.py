"""Training from settings to a checkpoint: each algorithm learns, writes nothing but recipes, and
keeps what the settings ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from datachef.core import Problem, Reward, Score
from datachef.core.language_models.checkpoint import load_model
from datachef.policy.decoding.local import LocalDecoder
from datachef.policy.model import PolicyCard
from datachef.policy.scored_recipes import Recipe, RecipeTask, ScoreTracker
from datachef.policy.settings import TrainSettings
from datachef.policy.training.log import read_log
from datachef.policy.training.train import train

ALGORITHMS = ("grpo", "rloo", "ppo")

Settings = Callable[..., TrainSettings]
Problems = Callable[[Recipe], list[Problem]]
Weights = Callable[[Path], dict[str, torch.Tensor]]


class Contrary(Reward):
    """Takes a point from recipes of the first source alone."""

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        return Score(-float(set(recipe["sources"]) == {"first"}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_learns_what_is_rewarded(
    algorithm: str,
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    problems: Problems,
) -> None:
    asked = settings(
        algorithm=algorithm,
        steps=12,
        recipes_per_step=16,
        recipes_per_prompt=16,
        batch=16,
        learning_rate=2e-2,
    )
    told: list[tuple[int, float]] = []
    checkpoint = train(
        asked, [recipe_task], [tracker], model, on_progress=lambda *step: told.append(step)
    )
    assert checkpoint == asked.output / "checkpoint-12"
    assert [step for step, _ in told] == list(range(1, 13))
    means = [mean for _, mean in told]
    assert fmean(means[-3:]) > fmean(means[:3]) + 0.3
    log = read_log(asked.output)
    assert [row.step for row in log] == [step for step in range(12) for _ in range(16)]
    assert {row.task for row in log} == {"sums"}
    for step, mean in enumerate(means):
        assert fmean(row.value for row in log if row.step == step) == pytest.approx(mean)
    assert [row.recipe for row in log] == [each.recipe for each in tracker.scored]
    assert [problem for row in log for problem in problems(row.recipe)] == []
    card = PolicyCard.of([recipe_task])
    assert PolicyCard.read(checkpoint) == card
    told = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert f"`{card.vocabulary}`" in told
    assert f"| 12 | {means[-1]:.4f} | " in told
    assert "chef propose --task task.yaml --pool pool.yaml --policy" in told
    assert not list(asked.output.glob("trainer/README.md")), "TRL's own card"
    decoder = LocalDecoder.of(checkpoint)
    prompt = recipe_task.prompt(decoder.count_tokens, asked.prompt_tokens)
    drafts = decoder.sample([prompt] * 32)
    assert fmean(list(draft["sources"]) == ["first"] for draft in drafts) > 0.7


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_policy_that_pays_for_it_stays_near_the_first_one(
    algorithm: str,
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    tmp_path: Path,
) -> None:
    divergences = []
    for kl in (1e-3, 10.0):
        asked = settings(algorithm=algorithm, kl=kl, steps=6, output=tmp_path / str(kl))
        found = logged(train(asked, [recipe_task], [tracker], model), "kl")
        # The first update has nothing to stay near to yet.
        assert found[0] == pytest.approx(0, abs=1e-6)
        divergences.append(abs(found[-1]))
    assert divergences[1] < divergences[0]


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_an_entropy_bonus_keeps_a_policy_from_settling(
    algorithm: str,
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    tmp_path: Path,
) -> None:
    found = []
    for bonus in (0.0, 5.0):
        asked = settings(
            algorithm=algorithm,
            entropy=bonus,
            steps=6,
            learning_rate=2e-2,
            output=tmp_path / str(bonus),
        )
        found.append(logged(train(asked, [recipe_task], [tracker], model), "entropy"))
    assert found[0][0] == pytest.approx(found[1][0])
    assert found[1][-1] > found[0][-1] + 0.05


def logged(checkpoint: Path, name: str) -> list[float]:
    """A figure of every step, as TRL logged it."""
    state = json.loads((checkpoint / "trainer_state.json").read_bytes())
    return [row[name] for row in state["log_history"] if name in row]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_adapters_alone_are_trained_and_saved(
    algorithm: str,
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    weights: Weights,
) -> None:
    asked = settings(algorithm=algorithm, lora={"rank": 4, "alpha": 8}, steps=3, kl=0.01)
    checkpoint = train(asked, [recipe_task], [tracker], model)
    assert (checkpoint / "adapter_model.safetensors").is_file()
    assert not (checkpoint / "model.safetensors").exists()
    decoder = LocalDecoder.of(checkpoint)
    prompt = recipe_task.prompt(decoder.count_tokens, asked.prompt_tokens)
    assert len(decoder.sample([prompt] * 3)) == 3
    before, after = weights(model), dict(load_model(checkpoint).named_parameters())
    lora_config = {name for name in after if "lora_" in name}
    frozen = {name: part for name, part in after.items() if name not in lora_config}
    assert len(frozen) == len(before)
    for name, part in frozen.items():
        assert torch.equal(part, before[name.replace(".base_layer", "")])
    assert any(after[name].any() for name in lora_config if "lora_B" in name)


def test_several_tasks_take_turns_and_each_has_its_reward(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    tmp_path: Path,
) -> None:
    other = RecipeTask(
        "more", recipe_task.task, recipe_task.pool, recipe_task.space, recipe_task.writer
    )
    trackers = [tracker, ScoreTracker(Contrary(), tmp_path)]
    asked = settings(steps=4, recipes_per_prompt=4)
    train(asked, [recipe_task, other], trackers, model)
    log = read_log(asked.output)
    assert [row.task for row in log] == [*(["sums"] * 4), *(["more"] * 4)] * 4
    for row in log:
        alone = float(list(row.recipe["sources"]) == ["first"])
        assert row.value == (alone if row.task == "sums" else -alone)
    assert [len(each.scored) for each in trackers] == [16, 16]


def test_options_of_trl_go_before_ours(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path
) -> None:
    asked = settings(trainer={"loss_type": "dr_grpo", "learning_rate": 0.0})
    checkpoint = train(asked, [recipe_task], [tracker], model)
    before, after = load_model(model).state_dict(), load_model(checkpoint).state_dict()
    assert all(torch.equal(part, after[name]) for name, part in before.items())
    arguments = torch.load(checkpoint / "training_args.bin", weights_only=False)
    assert arguments.loss_type == "dr_grpo"


def test_a_recipe_is_scored_once(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path, reward: Any
) -> None:
    train(settings(steps=6, learning_rate=5e-2), [recipe_task], [tracker], model)
    assert len(tracker.scored) == 48
    assert len(reward.asked) == len({json.dumps({**r, "name": ""}) for r in reward.asked})
