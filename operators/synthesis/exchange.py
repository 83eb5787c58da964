"""What operators ask about a conversation: its last question, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from datachef.core import DroppedRowError, Synthesis, turns_of
from datachef.operators.text.turns import last_question

if TYPE_CHECKING:
    from datachef.core import Turn


class Exchange(NamedTuple):
    """The last question of a row, what the assistant answers, if anything, and the turns before."""

    before: list[Turn]
    question: str
    answer: str | None

    def answered(self, answer: str | None = None, question: str | None = None) -> dict[str, Any]:
        """The columns of a row in which this question, or another, has this answer or none."""
        turns = [*self.before, {"role": "user", "content": question or self.question}]
        if answer is not None:
            turns.append({"role": "assistant", "content": answer})
        return {"messages": turns}


def exchange_of(row: Mapping[str, Any]) -> Exchange:
    """The exchange of a row; the text of a row that is no conversation is a question.

    Raises `DroppedRowError` (`no_question`) where nobody asks.
    """
    if row.get("messages") is None:
        question = (row["text"] or "").strip()
        if not question:
            raise DroppedRowError("no_question", "the row is empty")
        return Exchange([], question, None)
    turns = turns_of(row["messages"])
    place = last_question(turns, len(turns))
    if place is None:
        raise DroppedRowError("no_question", "no turn of the conversation is the user's")
    answers = (
        turn["content"]
        for turn in turns[place + 1 :]
        if turn["role"] == "assistant" and (turn["content"] or "").strip()
    )
    return Exchange(turns[:place], turns[place]["content"], next(answers, None))


class ExchangeSynthesis(Synthesis):
    """Synthesis about the last exchange of a row, which makes conversations.

    Templates may name what `shown` gives.
    """

    # What `shown` gives, and whether a row without an answer is dropped.
    names: ClassVar[frozenset[str]] = frozenset({"question", "answer"})
    needs_answer: ClassVar[bool] = False

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """What templates may name besides columns and `variables`."""
        return {"question": exchange.question, "answer": exchange.answer or ""}

    def reads(self) -> set[str]:
        return super().reads() - self.names

    def reasons(self) -> tuple[str, ...]:
        unanswered = ("unanswered_question",) if self.needs_answer else ()
        return (*super().reasons(), "no_question", *unanswered)

    def writes(self) -> set[str]:
        return super().writes() | {"messages"}

    def messages(self, row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        found = exchange_of(row)
        if self.needs_answer and found.answer is None:
            raise DroppedRowError("unanswered_question")
        return super().messages(row | dict(self.shown(found, row)))
