"""Where questions and answers stand in a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Turn = dict[str, Any]


def last_answer(turns: Sequence[Mapping[str, Any]]) -> tuple[int, str] | None:
    """The place of the last turn in which the assistant says something, and what the user asked
    before it; None where it says nothing."""
    for place in range(len(turns) - 1, -1, -1):
        turn = turns[place]
        if turn["role"] == "assistant" and (turn["content"] or "").strip():
            asked = last_question(turns, place)
            return place, "" if asked is None else turns[asked]["content"]
    return None


def last_question(turns: Sequence[Mapping[str, Any]], before: int) -> int | None:
    """The place of the last turn in which the user says something before a place."""
    for place in range(before - 1, -1, -1):
        if turns[place]["role"] == "user" and (turns[place]["content"] or "").strip():
            return place
    return None
