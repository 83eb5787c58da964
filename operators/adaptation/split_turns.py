"""A row for every answer in a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from datachef.core import ConversationTransform

if TYPE_CHECKING:
    from datachef.core import Turn


class SplitTurns(ConversationTransform):
    """Makes a row of every turn of the assistant, with the turns that led to it.

    So each answer is trained on once, as the completion of its prompt (`schema:
    prompt_completion`). Turns after the last answer go; a conversation without one is dropped.
    """

    max_rows: ClassVar[int | None] = None

    op: Literal["split_turns"] = "split_turns"

    history: Literal["all", "last_question"] = Field(
        "all",
        description="What stands before an answer: all earlier turns, or the system prompt and the "
        "turns from the last one of the user on.",
    )

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_answer")

    def rewrite(
        self, turns: list[Turn], row: Mapping[str, Any]
    ) -> Sequence[Turn] | Sequence[Sequence[Turn]] | str:
        places = [
            place
            for place, turn in enumerate(turns)
            if turn["role"] == "assistant" and ((turn["content"] or "").strip() or len(turn) > 2)
        ]
        return [self._until(turns, place) for place in places] or "no_answer"

    def _until(self, turns: list[Turn], place: int) -> list[Turn]:
        begin = 0
        if self.history == "last_question":
            asked = [at for at in range(place) if turns[at]["role"] == "user"]
            begin = asked[-1] if asked else 0
        system = [turn for turn in turns[:begin] if turn["role"] in ("system", "developer")]
        return [*system, *turns[begin : place + 1]]
