"""What a checkpoint says of itself: over which operators and sources it was trained.

The card is written last, so that a checkpoint with one is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datachef.policy.assignment import Assignment
from datachef.policy.space import RecipeSpace

FILE = "policy.json"


@dataclass(frozen=True)
class PolicyCard:
    """The vocabulary's fingerprint, and the names that the policy has learned to write."""

    vocabulary: str
    operators: tuple[str, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, assignments: Sequence[Assignment]) -> PolicyCard:
        """The card of a training."""
        operators = {name for each in assignments for name in each.space.operators}
        return cls(
            assignments[0].space.vocabulary.fingerprint,
            tuple(sorted(operators)),
            tuple(each.name for each in assignments),
        )

    @classmethod
    def read(cls, checkpoint: Path) -> PolicyCard | None:
        """The card of a checkpoint; None for a model that is no policy of ours."""
        try:
            data: dict[str, Any] = orjson.loads((checkpoint / FILE).read_bytes())
            return cls(data["vocabulary"], tuple(data["operators"]), tuple(data["tasks"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, checkpoint: Path) -> None:
        """Makes a checkpoint whole."""
        data = {
            "vocabulary": self.vocabulary,
            "operators": self.operators,
            "tasks": self.tasks,
        }
        (checkpoint / FILE).write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))

    def differences(self, space: RecipeSpace) -> str:
        """In words how a space differs from what the policy was trained on; empty where it does
        not. It writes valid recipes all the same, since the grammar is the space's."""
        if self.vocabulary == space.vocabulary.fingerprint:
            return ""
        new = sorted(set(space.operators) - set(self.operators))
        gone = sorted(set(self.operators) - set(space.vocabulary))
        said = "the policy was trained on another vocabulary"
        if new:
            said += f"; it has never seen {', '.join(new)}"
        if gone:
            said += f"; it may not write {', '.join(gone)}"
        return said


def is_whole(checkpoint: Path) -> bool:
    """Whether everything of a checkpoint was written."""
    return PolicyCard.read(checkpoint) is not None
