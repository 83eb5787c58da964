from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
import pytest

from datachef.core import ConversationTransform, turns_column, turns_of, with_text


class Adapted(NamedTuple):
    """For each row the turns that were made of it, or why it was dropped."""

    turns: dict[str, list[dict[str, Any]]]
    dropped: dict[str, str]

    def answers(self) -> dict[str, str]:
        return {row: turns[-1]["content"] for row, turns in self.turns.items()}


Adapt = Callable[..., Adapted]


@pytest.fixture(scope="session")
def adapt() -> Adapt:
    """Applies an operator to conversations, each with columns of its own."""

    def apply(
        operator: ConversationTransform,
        chats: Sequence[Sequence[Mapping[str, Any]]],
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> Adapted:
        ids = [str(number) for number in range(len(chats))]
        frame = pl.DataFrame({"id": ids, "source": ["a"] * len(chats), **(columns or {})})
        outcome = operator.process(with_text(frame.with_columns(turns_column(chats))))
        made = outcome.rows.select("id", "messages").iter_rows()
        gone = [] if outcome.dropped is None else outcome.dropped.select("id", "reason").iter_rows()
        return Adapted({row: turns_of(turns) for row, turns in made}, dict(gone))

    return apply


@pytest.fixture(scope="session")
def exchange() -> Callable[[str, str], list[dict[str, str]]]:
    """A question and its answer as a conversation."""
    return _exchange


def _exchange(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
