"""From the arguments of a command to the reward that it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from datachef.core import DatachefError
from datachef.core.cli.state import get_host
from datachef.core.contracts.reward import RewardConfig
from datachef.core.contracts.task import LMEvalBenchmark
from datachef.core.recipe import binding
from datachef.core.recipe.resolving import read_task

if TYPE_CHECKING:
    from datachef.core.document import Document
    from datachef.reward.scorer import RecipeReward


def build_reward(
    recipes: Sequence[Document],
    task: Path | None,
    pool: Path | None,
    cache: Path | None,
    seed: int,
    options: Mapping[str, Any],
) -> RecipeReward:
    """The reward for some recipes read from files, all for one task.

    Raises `DatachefError` where it is not clear for which, or where an option makes no sense.
    """
    from datachef.core.api import default_cache
    from datachef.plugins.reward.factory import proxy_reward

    config = RewardConfig(
        task=(task or task_of(recipes, pool)).absolute(),
        pool=pool.absolute() if pool is not None else None,
        folder=Path.cwd(),
        cache=(cache or default_cache()).absolute(),
        plugin_files=get_host().files,
        seed=seed,
        options={name: value for name, value in options.items() if value is not None},
    )
    try:
        return cast("RecipeReward", proxy_reward(config))
    except ValidationError as error:
        raise DatachefError(f"options of the reward: {error}") from error


def task_of(recipes: Sequence[Document], pool: Path | None = None) -> Path:
    """The task that recipes name. Raises `DatachefError` where they name none, or several, or one
    that a recipe bound to this pool may not bring along."""
    found: dict[Path, Path] = {}
    for document in recipes:
        path = Path(document.file)
        if document.data is None and document.problems:
            from datachef.core import RecipeError

            raise RecipeError(document.problems)
        named = document.data.get("task") if isinstance(document.data, dict) else None
        if not isinstance(named, str):
            raise DatachefError(
                f"{path} names no task to score it for", "write task: task.yaml, or give --task"
            )
        found.setdefault((path.parent / named).resolve(), path)
    if len(found) > 1:
        named_by = ", ".join(str(path) for path in found.values())
        raise DatachefError(
            f"these recipes are for different tasks: {named_by}", "score them one task at a time"
        )
    ((task, recipe),) = found.items()
    if pool is not None:
        _refuse_beyond(pool, task, recipe)
    return task


def _refuse_beyond(pool: Path, task: Path, recipe: Path) -> None:
    """Nobody but whoever asks, or wrote the pool, chooses what is read elsewhere or which model."""
    if binding.within(task, [pool.parent]):
        return
    folders = [recipe.parent, pool.parent]
    hint = "if you want it, choose it yourself: --task"
    if not binding.within(task, folders):
        raise DatachefError(
            f"{recipe} is bound to a pool and names a task that is neither beside it nor beside the"
            " pool",
            hint,
        )
    read = read_task(task)
    outside = list(binding.files_outside(read, folders))
    if isinstance(read.benchmark, LMEvalBenchmark):
        outside.append("benchmark")
    if read.base_model != "tiny" and not binding.within(Path(read.base_model), folders):
        outside.append("base_model")
    if outside:
        raise DatachefError(
            f"{recipe} is bound to a pool, and {outside[0]} of its task is neither beside it nor"
            " beside the pool",
            hint,
        )
