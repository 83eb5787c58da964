"""A task that a policy writes recipes for: task, pool, the space of recipes, and the prompts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datachef.core.recipe.resolving import read_task
from datachef.core.registry.host import Host
from datachef.policy.prompt import CountTokens, PromptWriter
from datachef.policy.prompt.writer import Prompt
from datachef.policy.scored_recipes import Recipe
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RecipeSpace, recipe_space


@dataclass(frozen=True)
class RecipeTask:
    """A task and a pool, the space of recipes over them, and the writer of their prompts."""

    name: str
    task: Path
    pool: Path
    space: RecipeSpace
    writer: PromptWriter

    @classmethod
    def load(cls, host: Host, task: Path, pool: Path, limits: GrammarLimits) -> RecipeTask:
        """The recipe task of a task.yaml and a pool.yaml, in the space that `limits` leave.

        Raises `DatachefError` if one of the files cannot be used.
        """
        described = read_task(task, host)
        space = recipe_space(host, pool, task, limits)
        return cls(described.name, task, pool, space, PromptWriter(described, space))

    def prompt(
        self, count_tokens: CountTokens, most_tokens: int, space: RecipeSpace | None = None
    ) -> Prompt:
        """The fullest prompt of at most `most_tokens` tokens for `space`, by default the whole one.

        Raises `DatachefError` if the names of sources and operators alone take more.
        """
        return self.writer.write(space or self.space, count_tokens, most_tokens)

    def runnable(self, recipe: Recipe, name: str, folder: Path) -> dict[str, Any]:
        """The recipe with its name, task and pool, so that `chef run` can run it from a file in
        `folder`."""
        files = {
            key: os.path.relpath(file.absolute(), folder.absolute())
            for key, file in (("task", self.task), ("pool", self.pool))
        }
        return {"name": name, **files, **{k: v for k, v in recipe.items() if k != "name"}}
