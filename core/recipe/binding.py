"""What a recipe that is bound to a pool may reach, and what it may say of the pool's sources."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task

# All else is for whoever wrote the pool to say: where rows come from and how they are read, their
# licence and description, and how much of them may fail.
OF_THE_RECIPE = ("take", "steps")


def within(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a path lies in one of the folders, `..` and links resolved."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def files_outside(task: Task, folders: Sequence[Path]) -> Iterator[str]:
    """The parts of a task whose files lie in none of the folders."""
    for name in ("benchmark", "examples"):
        path = getattr(getattr(task, name), "path", None)
        if path is not None and not within(Path(path), folders):
            yield name


def refused(name: str, own: Mapping[str, Any], pooled: Source) -> Iterator[tuple[str, str, str]]:
    """What a recipe says of a source that its pool alone may say: (field, message, hint) each."""
    for key in own:
        if key not in OF_THE_RECIPE:
            hint = f"leave it out: of a source of its pool a recipe says {_listed(OF_THE_RECIPE)}"
            yield key, f"{key} of {name} is for the pool to say, which binds this recipe", hint
    take = own.get("take")
    if take is not None and pooled.take is not None and take > pooled.take:
        yield "take", f"the pool offers {pooled.take:,} rows of {name}", "take as many, or fewer"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
