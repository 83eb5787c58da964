"""Where the reasoning that leads to an answer stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from datachef.core import ConversationTransform, without_trigger
from datachef.operators.adaptation.answers import split_answer
from datachef.operators.text.turns import last_answer, last_question

if TYPE_CHECKING:
    from datachef.core import Turn

_THINK = re.compile(r"^\s*<think>(.*?)</think>\s*", re.DOTALL)
_TURN_FIELDS = ("reasoning_content", "reasoning", "thinking")
_COLUMNS = ("rationale", "explanation", "reasoning", "chain_of_thought", "cot", "thought")
_TRIGGER = "Let's think step by step."


class ChainOfThought(ConversationTransform):
    """Keeps, moves or drops the chain of thought of the last answer.

    It is what stands in `<think>` tags or in the reasoning of the turn, else what comes before the
    words that announce the answer (`So, the answer is ...`, `#### ...`), else a field of the row
    (rationale, explanation, reasoning, cot ...), unless the answer holds it already. An answer
    without one stays as it is. The phrase of `trigger: add` is that of Kojima et al. 2022,
    https://arxiv.org/abs/2205.11916; `drop` also takes away those of FLAN's templates.
    """

    op: Literal["chain_of_thought"] = "chain_of_thought"

    place: Literal["before_answer", "after_answer", "think_tags", "reasoning_content", "drop"] = (
        Field(
            "before_answer",
            description="Where it goes: before the answer or after it, into <think> tags, into the "
            "field reasoning_content of the turn, which chat templates read, or away.",
        )
    )
    trigger: Literal["keep", "add", "drop"] = Field(
        "keep",
        description="What happens to a phrase in the question that asks for it, such as Let's "
        "think step by step.",
    )
    field: str | None = Field(
        None, max_length=200, description="The field with it; found when left out."
    )

    def reads(self) -> set[str]:
        return super().reads() | ({self.field} if self.field else set())

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_answer")

    def rewrite(self, turns: list[Turn], row: Mapping[str, Any]) -> Sequence[Turn] | str:
        found = last_answer(turns)
        if found is None:
            return "no_answer"
        turn = turns[found[0]]
        asked = last_question(turns, found[0])
        if asked is not None and self.trigger != "keep":
            question = turns[asked]["content"]
            turns[asked]["content"] = without_trigger(question.rstrip()) or question
            if self.trigger == "add":
                turns[asked]["content"] += f"\n{_TRIGGER}"
        thought, answer = self._split(turn, row)
        if not thought or not answer:
            return turns
        for name in _TURN_FIELDS:
            turn.pop(name, None)
        turn["content"] = answer
        if self.place == "before_answer":
            turn["content"] = f"{thought}\n{answer}"
        elif self.place == "after_answer":
            turn["content"] = f"{answer}\n{thought}"
        elif self.place == "think_tags":
            turn["content"] = f"<think>\n{thought}\n</think>\n\n{answer}"
        elif self.place == "reasoning_content":
            turn["reasoning_content"] = thought
        return turns

    def _split(self, turn: Turn, row: Mapping[str, Any]) -> tuple[str, str]:
        """The chain of thought, which may be empty, and the answer."""
        content = turn["content"].strip()
        if tagged := _THINK.match(content):
            return tagged[1].strip(), content[tagged.end() :].strip()
        for name in _TURN_FIELDS:
            if isinstance(turn.get(name), str) and turn[name].strip():
                return turn[name].strip(), content
        split = split_answer(content)
        if split.statement and split.solution:
            return split.solution, split.statement
        for name in (self.field,) if self.field else _COLUMNS:
            told = row.get(name)
            if isinstance(told, str) and told.strip() and told.strip() not in content:
                return told.strip(), content
        return "", content
