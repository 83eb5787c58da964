"""A row as checkers and judges see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from datachef.core import chat
from datachef.reward.verifier.verdict import Verdict


@dataclass(frozen=True)
class Row:
    """One row of a corpus; `turns` are pairs of role and what is said, None for a document."""

    id: str
    source: str
    text: str
    turns: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Row:
        """The row with the columns `id`, `source`, `text` and, where there are any, `messages`."""
        messages = data.get("messages")
        turns = None
        if messages is not None:
            turns = tuple((turn["role"] or "", chat.reading(turn)) for turn in chat.turns(messages))
        return cls(data["id"], data["source"], data["text"] or "", turns)

    @property
    def answer(self) -> str:
        """What a model learns to say: all turns of the assistant, or the whole document."""
        if self.turns is None:
            return self.text
        return "\n\n".join(content for role, content in self.turns if role == "assistant")


class RowChecker(Protocol):
    """Something that knows for certain what some rows are."""

    def check(self, row: Row) -> Verdict | None:
        """The verdict; None where the checker cannot tell and a judge is to be asked."""
