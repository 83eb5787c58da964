"""The configuration of the reward `proxy`, declared once, and the reward that is built from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from datachef.core import MissingPackageError, Reward, extra, located
from datachef.core.contracts.reward import RewardConfig
from datachef.core.errors import optional_package

NEEDED = ("lightgbm", "scipy", "threadpoolctl")


class JudgeOptions(BaseModel):
    """A language model that grades rows, and how it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    backend: str = Field(
        "openai", min_length=1, max_length=100, description="Registered LLM backend."
    )
    model: str = Field(
        min_length=1, max_length=200, description="Name by which the backend knows the model."
    )
    temperature: float = Field(0.0, ge=0, le=2, description="Randomness of the answers.")
    max_tokens: int = Field(
        1024, ge=1, le=1_000_000, description="Longest answer; a longer one is a failure."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Sent with every request.")
    max_row_chars: int = Field(
        8_000, ge=100, le=10_000_000, description="Of a longer row the middle is not shown."
    )
    max_concurrency: int = Field(8, ge=1, le=1000, description="Requests at a time.")


class RewardOptions(BaseModel):
    """The options of the reward `proxy`; commands, train.yaml and Python take them from here."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    history: Path | None = Field(None, description="Measurements that the proxy is fitted to.")
    proxy: Path | None = Field(
        None, description="A proxy that chef fit saved; takes precedence over the history."
    )
    prior: Path | None = Field(
        None,
        description="Measurements of other tasks that predict where there is no proxy; the history "
        "by default.",
    )
    limits: Path | None = Field(None, description="A limits.yaml with guardrails.")
    judges: tuple[JudgeOptions, ...] = Field((), description="Models that grade sampled rows.")
    encoder: str | None = Field(
        None,
        max_length=200,
        description="Asset that embeds sampled rows and examples of the task, such as minilm.",
    )
    judged_rows: int = Field(100, ge=1, le=100_000, description="Rows that each judge grades.")
    rows: int = Field(2000, ge=1, le=1_000_000, description="Sampled rows per source.")
    pessimism: float = Field(
        1.0, ge=0, le=100, description="Standard errors taken off the prediction."
    )
    workers: int = Field(1, ge=1, le=1024, description="Processes that score recipes.")

    @classmethod
    def of(cls, config: RewardConfig) -> RewardOptions:
        """The options in a configuration. Raises pydantic's `ValidationError` for wrong ones."""
        return cls.model_validate(dict(config.options)).located_in(config.folder)

    def located_in(self, folder: Path) -> RewardOptions:
        """These options with relative paths resolved against a folder."""
        names = ("history", "proxy", "prior", "limits")
        files = {name: getattr(self, name) for name in names}
        found = {name: located(folder, path) for name, path in files.items() if path is not None}
        return self.model_copy(update=found)


def proxy_reward(config: RewardConfig) -> Reward:
    """A reward that runs recipes on samples and predicts what they would score.

    Raises `DatachefError` for options that make no sense and for a missing package.
    """
    require_packages()
    from datachef.reward.scorer import ParallelReward, RecipeReward

    workers = RewardOptions.of(config).workers
    if workers > 1:
        alone = replace(config, options={**config.options, "workers": 1})
        return ParallelReward(proxy_reward, alone, workers)
    return RecipeReward(config)


def require_packages() -> None:
    """Raises `MissingPackageError` where what the reward computes with is not installed."""
    import importlib.util

    for module in NEEDED:
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(module, extra("reward"), "the reward")


def reward_package(module: str) -> Any:
    """A module of what the reward computes with; `MissingPackageError` without it."""
    return optional_package(module, extra("reward"), "the reward")


def described(name: str) -> str:
    """The description of an option, for the help of a command."""
    return RewardOptions.model_fields[name].description or ""
