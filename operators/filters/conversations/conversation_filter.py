"""The structure of conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import polars as pl

from datachef.core import Filter, threshold
from datachef.operators.text.turns import per_row, turns_table

if TYPE_CHECKING:
    from datachef.core import Signal

_SYSTEM = ("system", "developer")
FACTS = pl.Struct(
    dict.fromkeys(("turns", "empty", "unanswered", "repeats", "late_system", "starts"), pl.Int64)
)


def structure(messages: pl.Series) -> pl.Series:
    """Numbers about the turns of each conversation."""
    turns = turns_table(messages)
    before = pl.col("role").shift(1).over("row")
    turns = turns.with_columns(
        before=before,
        system=pl.col("role").is_in(_SYSTEM),
        after_system=before.is_in(_SYSTEM).fill_null(True),
    )
    spoken = ~pl.col("system")
    found = per_row(
        turns,
        len(messages),
        turns=spoken.sum(),
        empty=((pl.col("content") == "") & ~pl.col("extra")).sum(),
        unanswered=pl.col("role").last() != "assistant",
        # Several results of tools may follow each other.
        repeats=((pl.col("role") == pl.col("before")) & (pl.col("role") != "tool") & spoken).sum(),
        late_system=(pl.col("system") & ~pl.col("after_system")).sum(),
        starts=pl.col("role").filter(spoken).first() == "user",
    )
    return found.to_struct()


class ConversationFilter(Filter):
    """Drops conversations that do not alternate between user and assistant, end early or are empty.

    What chat templates require (https://huggingface.co/docs/transformers/chat_templating): after
    messages of the system the user begins, the assistant answers, and its answer is the last turn.
    Between a question and its answer tools may be called. A turn without content is empty unless it
    carries tool calls or reasoning. Messages of the system do not count as turns.
    """

    op: Literal["conversation_filter"] = "conversation_filter"

    min_turns: int = threshold(2, ge=0, le=1_000, description="Least number of turns.")
    max_turns: int | None = threshold(
        None, ge=1, le=10_000, description="Greatest number of turns; no limit by default."
    )
    user_first: bool = threshold(True, description="Drop what the user does not begin.")
    alternating: bool = threshold(
        True, description="Drop where one says two turns in a row, or the system speaks later."
    )
    ends_with_assistant: bool = threshold(
        True, description="Drop what does not end with a turn of the assistant."
    )
    drop_empty_turns: bool = threshold(True, description="Drop where a turn says nothing.")

    def reads(self) -> set[str]:
        return {"messages"}

    def signals(self) -> Mapping[str, Signal]:
        facts = pl.col("_turns").struct
        return {
            "_turns": pl.col("messages").map_batches(
                structure, return_dtype=FACTS, is_elementwise=True
            ),
            "conversation_turns": facts.field("turns"),
            "conversation_empty_turns": facts.field("empty"),
            "conversation_user_first": facts.field("starts") == 1,
            "conversation_alternates": (facts.field("repeats") + facts.field("late_system")) == 0,
            "conversation_ends_with_assistant": facts.field("unanswered") == 0,
        }

    def reasons(self) -> tuple[str, ...]:
        return (
            "no_conversation", "too_few_turns", "too_many_turns", "empty_turn", "user_not_first",
            "not_alternating", "no_answer_at_the_end",
        )  # fmt: skip

    def rules(self) -> Mapping[str, pl.Expr]:
        turns = pl.col("conversation_turns")
        most = self.max_turns
        answered = pl.col("conversation_ends_with_assistant")
        return {
            "no_conversation": pl.col("messages").is_null(),
            "too_few_turns": turns < self.min_turns,
            "too_many_turns": pl.lit(False) if most is None else turns > most,
            "empty_turn": (pl.col("conversation_empty_turns") > 0) & self.drop_empty_turns,
            "user_not_first": ~pl.col("conversation_user_first") & self.user_first,
            "not_alternating": ~pl.col("conversation_alternates") & self.alternating,
            "no_answer_at_the_end": ~answered & self.ends_with_assistant,
        }
