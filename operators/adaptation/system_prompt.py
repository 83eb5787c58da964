"""What a conversation says to the model before it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from datachef.core import CheckContext, ConversationTransform, Task

if TYPE_CHECKING:
    from datachef.core import Turn

_SYSTEM = ("system", "developer")


class SystemPrompt(ConversationTransform):
    """Gives conversations a system prompt, replaces the one they have, or drops it.

    Turns of the role developer are system prompts too. A conversation of a system prompt alone, of
    which nothing would be left, is dropped as `emptied`.
    """

    op: Literal["system_prompt"] = "system_prompt"

    action: Literal["set", "replace", "drop"] = Field(
        "replace",
        description="set: where there is none; replace: everywhere; drop: none is left.",
    )
    prompt: str | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        examples=[
            "You are a helpful assistant.",
            "Think step by step, then give the final answer.",
            "Give the final answer alone.",
        ],
        description="The system prompt; the instruction of the task when left out.",
    )

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.action != "drop" and self.prompt is None:
            hint = "write it as prompt, or give the recipe a task with an instruction"
            yield "prompt", "there is no system prompt to set", hint

    def for_task(self, task: Task) -> Self:
        if self.prompt is not None or not task.instruction.strip():
            return self
        return self.changed({"prompt": task.instruction.strip()})

    def rewrite(self, turns: list[Turn], row: Mapping[str, Any]) -> Sequence[Turn] | str:
        spoken = [turn for turn in turns if turn["role"] not in _SYSTEM]
        if self.action == "drop":
            return spoken
        if self.action == "set" and len(spoken) < len(turns):
            return turns
        return [{"role": "system", "content": self.prompt or ""}, *spoken]
