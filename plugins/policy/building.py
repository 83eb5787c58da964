"""From settings to the parts that policies are trained with and write recipes with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from datachef.core import DatachefError, Host, PluginError, Reward
from datachef.core.contracts.reward import RewardConfig

if TYPE_CHECKING:
    from datachef.policy.recipe_task import Assignment
    from datachef.policy.settings import Limits, RewardChoice, TaskAndPool, TrainSettings


def load_settings(path: Path) -> TrainSettings:
    """The settings of a train.yaml, its paths resolved. Raises `RecipeError` where something in it
    is wrong."""
    from datachef.core.recipe.resolving import read_typed
    from datachef.policy.settings import TrainSettings

    return read_typed(path, TrainSettings).located_in(path.absolute().parent)


def reward_of(
    host: Host,
    choice: RewardChoice,
    task: Path,
    pool: Path,
    *,
    folder: Path,
    cache: Path,
    seed: int,
) -> Reward:
    """A registered reward for a task over a pool; relative paths in its options begin in `folder`.

    Raises `DatachefError` for a name that nobody registered, and for options that it does not take.
    """
    rewards = host.named("datachef_rewards")
    if choice.name not in rewards:
        raise DatachefError(
            f"there is no reward {choice.name!r}",
            host.missing(choice.name, rewards) or "install a plugin that has datachef_rewards",
        )
    config = RewardConfig(
        task=task.absolute(),
        pool=pool.absolute(),
        folder=folder.absolute(),
        cache=cache.absolute(),
        plugin_files=host.files,
        seed=seed,
        options=choice.options,
    )
    try:
        reward: Reward = rewards[choice.name](config)
    except ValidationError as error:
        raise DatachefError(f"options of the reward {choice.name}: {error}") from error
    if not isinstance(reward, Reward):
        kind = "None" if reward is None else f"a {type(reward).__name__}"
        raise PluginError(f"the reward {choice.name} built {kind}, not a Reward")
    return reward


def assign(host: Host, tasks: Sequence[TaskAndPool], limits: Limits) -> list[Assignment]:
    """The assignments of tasks with their pools; `RecipeError` and `DatachefError` say what of them
    cannot be used."""
    from datachef.policy.recipe_task import Assignment

    return [Assignment.of(host, each.task, each.pool, limits) for each in tasks]
