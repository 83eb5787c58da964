"""The log of a training: every recipe that was scored, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datachef.core.contracts.reward import Score
from datachef.core.errors import DatachefError
from datachef.core.system.atomic import write_atomically
from datachef.policy.scored_recipes import Recipe

LOG_FILE = "recipes.jsonl"
_FIELDS = {"step", "task", "recipe", "value", "gate"}


@dataclass(frozen=True)
class LoggedRecipe:
    """A recipe that training scored: at which step, for which task, with which score, of which the
    log keeps the value, the gate, and the prediction with its interval."""

    step: int
    task: str
    recipe: Recipe
    score: Score

    @property
    def value(self) -> float:
        return self.score.value

    @property
    def gate(self) -> str:
        return self.score.gate


class RecipeLog:
    """Appends to the log in a folder, after removing what was logged from `step` on."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / LOG_FILE
        kept = [line for line, row in _rows(self._path) if row["step"] < step]
        write_atomically(self._path, b"".join(line + b"\n" for line in kept))

    def add(self, step: int, task: str, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:
        """Adds the recipes of a step."""
        with self._path.open("ab") as stream:
            for recipe, score in zip(recipes, scores, strict=True):
                row: dict[str, Any] = {
                    "step": step, "task": task, "value": score.value, "gate": score.gate,
                    "predicted": score.predicted, "interval": score.interval, "recipe": recipe,
                }  # fmt: skip
                stream.write(orjson.dumps(row) + b"\n")


def read_log(folder: Path) -> list[LoggedRecipe]:
    """The recipes that training has scored so far, in their order."""
    return [
        LoggedRecipe(row["step"], row["task"], row["recipe"], _score(row))
        for _, row in _rows(folder / LOG_FILE)
    ]


def _score(row: dict[str, Any]) -> Score:
    """Logs of earlier versions have no predictions."""
    low_high = row.get("interval")
    return Score(
        row["value"],
        predicted=row.get("predicted"),
        interval=None if low_high is None else (low_high[0], low_high[1]),
        gate=row["gate"],
    )


def _rows(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The complete lines of a file and their contents; a kill may have cut off the last one.

    Raises `DatachefError` for a line that is not of the log.
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
