"""Builds rewards from what a command or a policy's training was told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from datachef.core import DatachefError, Host, MissingPackageError, Reward, extra, located
from datachef.core.contracts.reward import RewardConfig

if TYPE_CHECKING:
    from datachef.core import Task
    from datachef.reward.proxy import Proxy
    from datachef.reward.verifier import Verifier

NEEDED = ("scipy", "lightgbm")


class JudgeOptions(BaseModel):
    """A model that grades rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    backend: str = "openai"


class RewardOptions(BaseModel):
    """The options of the reward named `proxy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: Path | None = Field(None, description="Measurements that the proxy is fitted to.")
    proxy: Path | None = Field(None, description="A fitted proxy; goes before the history.")
    limits: Path | None = Field(None, description="A limits.yaml with guardrails.")
    judges: tuple[JudgeOptions, ...] = Field((), description="Models that grade sampled rows.")
    judged_rows: int = Field(100, ge=1, le=100_000, description="Rows that each of them grades.")
    rows: int = Field(2000, ge=1, le=1_000_000, description="Sampled rows per source.")
    pessimism: float = Field(1.0, ge=0, le=100, description="Standard errors taken off.")
    workers: int = Field(1, ge=1, le=1024, description="Processes that score recipes.")

    def located_in(self, folder: Path) -> RewardOptions:
        """These options with relative paths resolved against a folder."""
        files = {"history": self.history, "proxy": self.proxy, "limits": self.limits}
        found = {name: located(folder, path) for name, path in files.items() if path is not None}
        return self.model_copy(update=found)


def proxy_reward(config: RewardConfig) -> Reward:
    """A reward that cooks recipes on samples and predicts what they would score.

    Raises `DatachefError` for options that make no sense and for a missing package.
    """
    require_packages()
    from datachef.core.recipe.resolving import read_task, read_typed
    from datachef.reward.guardrails import GuardrailLimits
    from datachef.reward.scorer import RecipeReward

    options = RewardOptions.model_validate(config.options).located_in(config.folder)
    if options.workers > 1:
        from datachef.reward.scorer import ParallelReward

        alone = replace(config, options={**config.options, "workers": 1})
        return ParallelReward(proxy_reward, alone, options.workers)
    host = Host(config.plugin_files)
    task = read_task(config.task, host)
    return RecipeReward(
        host,
        config.task,
        cache=config.cache,
        pool=config.pool,
        proxy=_proxy(options, task, config.seed),
        limits=read_typed(options.limits, GuardrailLimits) if options.limits else None,
        verifier=_verifier(options, host, task, config),
        rows=options.rows,
        seed=config.seed,
        pessimism=options.pessimism,
    )


def require_packages() -> None:
    """Raises `MissingPackageError` where what the reward computes with is not installed."""
    import importlib.util

    for module in NEEDED:
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(module, extra("reward"), "the reward")


def _proxy(options: RewardOptions, task: Task, seed: int) -> Proxy | None:
    if options.proxy is not None:
        return _saved(options.proxy)
    if options.history is None:
        return None
    from datachef.reward.history import History
    from datachef.reward.proxy.fit import fit_proxy

    return fit_proxy(History(options.history), task, seed)


def _saved(path: Path) -> Proxy:
    import orjson

    from datachef.reward.proxy import Proxy

    try:
        return Proxy.from_data(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatachefError(f"{path} is no proxy: {error}", "chef fit makes one") from error


def _verifier(
    options: RewardOptions, host: Host, task: Task, config: RewardConfig
) -> Verifier | None:
    if not options.judges:
        return None
    from datachef.core import Services
    from datachef.reward.verifier import Judge, Verifier

    services = Services(host.named("datachef_llm_backends"), config.cache / "llm")
    judges = [Judge(model=judge.model, backend=judge.backend) for judge in options.judges]
    return Verifier(judges, services, task, rows=options.judged_rows, seed=config.seed)
