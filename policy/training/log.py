"""Every recipe that training scored, one JSON line each, in the folder of the checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datachef.core.atomic import write_atomically
from datachef.core.errors import DatachefError
from datachef.core.reward import Score
from datachef.policy.objective import Recipe

FILE = "recipes.jsonl"
_FIELDS = {"step", "task", "recipe", "value", "gate"}


@dataclass(frozen=True)
class Logged:
    """A recipe of a step, for which task, and what the reward said of it."""

    step: int
    task: str
    recipe: Recipe
    value: float
    gate: str


class RecipeLog:
    """Appends to the log of a folder; what came after `step` is taken back first."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / FILE
        kept = [line for line, row in _rows(self._path) if row["step"] < step]
        write_atomically(self._path, b"".join(line + b"\n" for line in kept))

    def add(self, step: int, task: str, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:
        """Adds the recipes of a step."""
        with self._path.open("ab") as stream:
            for recipe, score in zip(recipes, scores, strict=True):
                row: dict[str, Any] = {"step": step, "task": task, "value": score.value}
                stream.write(orjson.dumps(row | {"gate": score.gate, "recipe": recipe}) + b"\n")


def read_log(folder: Path) -> list[Logged]:
    """What training scored so far, in order."""
    rows = [row for _, row in _rows(folder / FILE)]
    return [Logged(r["step"], r["task"], r["recipe"], r["value"], r["gate"]) for r in rows]


def _rows(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The whole lines of a file with what they hold; a kill may have left the last one half.

    Raises `DatachefError` for a line that we did not write.
    """
    if not path.exists():
        return
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = orjson.loads(line)
            known = isinstance(row, dict) and row.keys() >= _FIELDS and type(row["step"]) is int
        except orjson.JSONDecodeError:
            known = False
        if not known:
            raise DatachefError(
                f"{path}:{number} is no line of the log of a training",
                "somebody changed it: put it back, or choose another output",
            )
        yield line, row
