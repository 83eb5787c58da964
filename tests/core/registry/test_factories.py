"""Rewards and evaluation backends that plugins register, built by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from datachef.core import DatachefError, EvaluationConfig, Host, PluginError, RewardConfig, Score
from datachef.core.registry.factories import build_evaluation_backend, build_reward

PLUGIN = """
from pydantic import BaseModel

from datachef.core import hookimpl
from datachef.core import EvaluationBackend, ProxyFidelity
from datachef.core import Reward, Score


class Options(BaseModel):
    penalty: float


class FewSteps(Reward):
    def __init__(self, config):
        self.penalty = Options.model_validate(config.options).penalty

    def score(self, recipe, base_dir):
        return Score(1 - self.penalty * len(recipe.get("steps", ())))


class Counted(EvaluationBackend):
    def __init__(self, config):
        self.name, self.output = config.reward_name, config.output

    def reward(self, proxy):
        raise NotImplementedError

    def measure(self, recipe, seeds):
        return []

    def refit(self, target, last):
        return None

    def fidelity(self, proxy):
        return ProxyFidelity(6, 0.5, 0.1, 0.9)


@hookimpl
def datachef_rewards():
    return {"few_steps": FewSteps, "nothing": lambda config: None}


@hookimpl
def datachef_evaluation_backends():
    return {"counted": Counted, "reward": FewSteps}
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "few_steps.py").write_text(PLUGIN)
    return Host([str(tmp_path / "few_steps.py")])


def config(folder: Path, **options: object) -> RewardConfig:
    return RewardConfig(folder / "task.yaml", None, folder, folder / "cache", options=options)


def test_a_reward_is_built_by_name_with_its_options(host: Host, tmp_path: Path) -> None:
    reward = build_reward(host, "few_steps", config(tmp_path, penalty=0.25))
    recipes = [{"steps": [{"op": "sample"}] * count} for count in (0, 2)]
    assert reward.score_all(recipes, tmp_path) == [Score(1.0), Score(0.5)]


def test_an_evaluation_backend_is_built_by_name(host: Host, tmp_path: Path) -> None:
    asked = EvaluationConfig("few_steps", config(tmp_path), tmp_path / "run")
    backend = build_evaluation_backend(host, "counted", asked)
    assert vars(backend) == {"name": "few_steps", "output": tmp_path / "run"}
    found = backend.fidelity(tmp_path / "proxy.json")
    assert found is not None and (found.recipes, found.correlation) == (6, 0.5)


def test_what_cannot_be_built_is_said(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DatachefError, match="there is no reward 'few_step'") as caught:
        build_reward(host, "few_step", config(tmp_path))
    assert "did you mean few_steps" in caught.value.hint
    with pytest.raises(DatachefError, match=r"(?s)options of the reward few_steps.*penalty"):
        build_reward(host, "few_steps", config(tmp_path, penalty="much"))
    with pytest.raises(PluginError, match="the reward nothing built None, not a Reward"):
        build_reward(host, "nothing", config(tmp_path))
    asked = EvaluationConfig("few_steps", config(tmp_path), tmp_path, {"penalty": 1})
    with pytest.raises(PluginError, match="built a FewSteps, not an EvaluationBackend"):
        build_evaluation_backend(host, "reward", asked)
    with pytest.raises(DatachefError, match="there is no evaluation backend 'few_steps'"):
        build_evaluation_backend(host, "few_steps", asked)
