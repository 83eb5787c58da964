"""Which grammar belongs to which brief, and where finished recipes decided."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from datachef.core.errors import DatachefError
from datachef.policy.brief import Brief, Messages
from datachef.policy.decoding.local import count_tokens, prompt_tokens
from datachef.policy.grammar import Decision, Grammar, Grammars, Tokens

# Recipes of about one step, whose decisions are asked for several times.
REMEMBERED = 4_096


@dataclass(frozen=True)
class Decisions:
    """Where the recipes of a batch decided: rows (n), columns (n) counted from where the recipes
    begin, and the tokens that were allowed there."""

    rows: torch.Tensor
    columns: torch.Tensor
    allowed: list[Tokens]

    def mask(self, vocabulary: int) -> torch.Tensor:
        """What was allowed (n, vocabulary)."""
        masks = np.zeros((len(self.allowed), vocabulary), dtype=bool)
        for number, tokens in enumerate(self.allowed):
            masks[number, tokens] = True
        return torch.from_numpy(masks).to(self.rows.device)


class Book:
    """The briefs of a training by their tokens. `jumps` as for `Grammar`."""

    def __init__(self, tokenizer: Any, *, jumps: bool = True) -> None:
        self._tokenizer = tokenizer
        self._briefs: dict[tuple[int, ...], Brief] = {}
        self._grammars = Grammars(tokenizer, jumps=jumps)
        self._decisions: OrderedDict[tuple[tuple[int, ...], tuple[int, ...]], list[Decision]] = (
            OrderedDict()
        )

    def add(self, brief: Brief) -> bool:
        """Enters a brief. False where another one reads the same and allows something else."""
        tokens = tuple(prompt_tokens(brief, self._tokenizer))
        known = self._briefs.setdefault(tokens, brief)
        return known is brief or known.space.fingerprint == brief.space.fingerprint

    def count_tokens(self, messages: Messages) -> int:
        """How many tokens of the model a brief has."""
        return count_tokens(messages, self._tokenizer)

    def brief(self, prompt: Sequence[int]) -> Brief:
        """The brief that reads so. Raises `DatachefError` for one that was never entered."""
        found = self._briefs.get(tuple(prompt))
        if found is None:
            raise DatachefError("the trainer reads a brief otherwise than we do")
        return found

    def grammar(self, prompt: Sequence[int]) -> Grammar:
        """The grammar of what may be written for a brief, compiled once."""
        return self._grammars.of(self.brief(prompt).space)

    def decisions(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, start: int
    ) -> Decisions:
        """The decisions of a batch (batch, length) whose recipes begin at column `start`.

        Raises `DatachefError` at a token that was not allowed: whoever sampled it has another
        grammar.
        """
        rows: list[int] = []
        found: list[Decision] = []
        ids, mask = input_ids.tolist(), attention_mask.bool().tolist()
        for row, (tokens, present) in enumerate(zip(ids, mask, strict=True)):
            pairs = list(zip(tokens, present, strict=True))
            prompt = tuple(token for token, here in pairs[:start] if here)
            text = tuple(token for token, here in pairs[start:] if here)
            decided = self._replayed(prompt, text)
            rows += [row] * len(decided)
            found += decided
        device = input_ids.device
        return Decisions(
            torch.tensor(rows, dtype=torch.long, device=device),
            torch.tensor([d.index for d in found], dtype=torch.long, device=device),
            [decision.allowed for decision in found],
        )

    def _replayed(self, prompt: tuple[int, ...], text: tuple[int, ...]) -> list[Decision]:
        key = (prompt, text)
        if key not in self._decisions:
            self._decisions[key] = list(self.grammar(prompt).decisions(text))
            if len(self._decisions) > REMEMBERED:
                self._decisions.popitem(last=False)
        return self._decisions[key]
