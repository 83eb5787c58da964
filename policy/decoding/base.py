"""The contract of a decoder: from briefs to drafts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from datachef.policy.brief import Brief, Messages

Draft = dict[str, Any]


class Decoder(ABC):
    """A language model that can write nothing but drafts."""

    @abstractmethod
    def sample(
        self, briefs: Sequence[Brief], *, temperature: float = 1.0, seed: int = 0
    ) -> list[Draft]:
        """A draft for each brief, in their order; the same seed gives the same drafts, as far as
        the engine keeps that promise."""

    def count_tokens(self, messages: Messages) -> int:
        """How many tokens of the model a brief has, or an estimate from above where its tokenizer
        is out of reach."""
        return sum(len(message["content"].encode()) + 16 for message in messages) // 3
