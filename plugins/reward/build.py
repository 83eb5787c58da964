"""From the arguments of a command to the reward that it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from datachef.core.cli.state import get_host
from datachef.core.errors import DatachefError
from datachef.core.reward import RewardSetting

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

    setting = RewardSetting(
        task=(task or task_of(recipes)).absolute(),
        pool=pool.absolute() if pool is not None else None,
        folder=Path.cwd(),
        cache=(cache or default_cache()).absolute(),
        plugin_files=get_host().files,
        seed=seed,
        options={name: value for name, value in options.items() if value is not None},
    )
    try:
        return cast("RecipeReward", proxy_reward(setting))
    except ValidationError as error:
        raise DatachefError(f"options of the reward: {error}") from error


def task_of(recipes: Sequence[Document]) -> Path:
    """The task that recipes name. Raises `DatachefError` where they name none, or several."""
    found: dict[Path, Path] = {}
    for document in recipes:
        path = Path(document.file)
        if document.data is None and document.problems:
            from datachef.core.errors import RecipeError

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
    return next(iter(found))
