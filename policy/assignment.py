"""A task to write recipes for, over a pool: what may be written, and how it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datachef.core.host import Host
from datachef.core.typed import read_task
from datachef.policy.brief import Brief
from datachef.policy.grammar import written
from datachef.policy.model import TINY, make_tiny_policy
from datachef.policy.objective import Recipe
from datachef.policy.prompt import TRUNCATION, CountTokens, PromptWriter
from datachef.policy.space import Limits, RandomChooser, RecipeSpace, recipe_space

# Enough for a tokenizer to learn how drafts and briefs are written.
_DRAFTS = 1_000
_LEVELS = (0, len(TRUNCATION) - 1, len(TRUNCATION))


@dataclass(frozen=True)
class Assignment:
    """A task, a pool, all that may be written for it, and the writer of its briefs."""

    name: str
    task: Path
    pool: Path
    space: RecipeSpace
    writer: PromptWriter

    @classmethod
    def of(cls, host: Host, task: Path, pool: Path, limits: Limits) -> Assignment:
        """The assignment of a task.yaml and a pool.yaml. Raises `DatachefError` where one of them
        cannot be used."""
        described = read_task(task)
        space = recipe_space(host, pool, task, limits)
        return cls(described.name, task, pool, space, PromptWriter(described, space))

    def brief(
        self, count_tokens: CountTokens, most_tokens: int, space: RecipeSpace | None = None
    ) -> Brief:
        """The brief for a part of the space, all of it by default, in at most so many tokens.

        Raises `DatachefError` where the bare names are too many.
        """
        return self.writer.write(space or self.space, count_tokens, most_tokens)

    def bound(self, recipe: Recipe, name: str, folder: Path) -> dict[str, Any]:
        """A recipe of this task and pool for a file in `folder`, as `chef run` takes it there."""
        files = {
            key: os.path.relpath(file.absolute(), folder.absolute())
            for key, file in (("task", self.task), ("pool", self.pool))
        }
        return {"name": name, **files, **{k: v for k, v in recipe.items() if k != "name"}}


def policy_model(
    name: str, assignments: Sequence[Assignment], cache: Path, seed: int = 0
) -> str | Path:
    """A checkpoint's folder or a name of the hub, as it is; for `tiny` the folder of a model whose
    tokenizer knows how briefs and drafts of these assignments are written."""
    if name != TINY:
        return Path(name).absolute() if Path(name).is_dir() else name
    texts: list[str] = []
    for each in assignments:
        for level in _LEVELS:
            texts += [message["content"] for message in each.writer.messages(each.space, level)]
        drafts = [each.space.draw(RandomChooser(f"tiny {number}")) for number in range(_DRAFTS)]
        texts += [written(draft) for draft in drafts]
    return make_tiny_policy(texts, cache, seed=seed)
