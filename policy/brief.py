"""What a policy is asked: to write one recipe of a space, told in messages."""

from __future__ import annotations

from dataclasses import dataclass

from datachef.policy.space.space import RecipeSpace

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Brief:
    """The recipes that may be written, and the chat messages (`role`, `content`) that ask for one:
    task, protocol, sources, operators, budget."""

    space: RecipeSpace
    messages: Messages
