"""Tokens sampled from a model of transformers, under a grammar for each row of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from datachef.policy.grammar import Grammar, Walk

if TYPE_CHECKING:
    import torch

# Most tokens that are read at once after the prompt: rows with fewer are padded, and more would
# make the padding cost more than the fewer calls of the model save.
STRIDE = 8


def sample_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    grammars: Sequence[Grammar],
    *,
    temperature: float,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """A text for each prompt, in tokens up to its end token.

    `model` is a causal language model of transformers. Forced tokens are read in blocks and never
    sampled; all others are drawn from the model's distribution over what the grammar allows, at
    the temperature; 0 takes the likeliest. Without a `generator` torch's own is used.
    """
    walks = [grammar.walk() for grammar in grammars]
    texts: list[list[int]] = [walk.forced() for walk in walks]
    pending = [[*prompt, *text] for prompt, text in zip(prompts, texts, strict=True)]
    reader = _Reader(model, len(pending))
    width = max(map(len, pending))
    while not all(walk.finished for walk in walks):
        block = [tokens[:width] for tokens in pending]
        pending = [tokens[width:] for tokens in pending]
        logits = reader.read(block)
        deciding = [row for row, walk in enumerate(walks) if not walk.finished and not pending[row]]
        if deciding:
            chosen = _choose(logits[deciding], [walks[r] for r in deciding], temperature, generator)
            for row, token in zip(deciding, chosen, strict=True):
                walks[row].take(token)
                pending[row] = [token, *walks[row].forced()]
                texts[row] += pending[row]
        unfinished = [
            len(tokens) for tokens, walk in zip(pending, walks, strict=True) if not walk.finished
        ]
        width = min(STRIDE, max(unfinished, default=1))
    return texts


class _Reader:
    """Feeds blocks of tokens of different lengths to a model, and keeps what it made of them."""

    def __init__(self, model: Any, rows: int) -> None:
        import torch
        from transformers import DynamicCache

        self._model = model
        self._cache = {_cache_parameter(model): DynamicCache()}
        self._mask = torch.zeros(rows, 0, dtype=torch.long, device=model.device)

    def read(self, block: Sequence[Sequence[int]]) -> torch.Tensor:
        """The logits (rows, vocabulary) after each row's tokens; of a row without any they mean
        nothing."""
        import torch

        width = max(map(len, block))
        ids = [[0] * (width - len(tokens)) + list(tokens) for tokens in block]
        here = [[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in block]
        device = self._mask.device
        self._mask = torch.cat([self._mask, torch.tensor(here, device=device)], dim=1)
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)[:, -width:]
        with torch.no_grad():
            output = self._model(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=self._mask,
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
                **self._cache,
            )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits


def _cache_parameter(model: Any) -> str:
    """How the model calls its cache: `cache` since transformers 5.24, which vLLM does not admit
    yet, and `past_key_values` before. A model with adapters hides it behind `**kwargs`."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in signature(base.forward).parameters else "past_key_values"


def _choose(
    logits: torch.Tensor,
    walks: Sequence[Walk],
    temperature: float,
    generator: torch.Generator | None,
) -> list[int]:
    import torch

    allowed = np.zeros(logits.shape, dtype=bool)
    for row, walk in enumerate(walks):
        allowed[row, walk.allowed()] = True
    logits = logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), -torch.inf)
    if temperature == 0:
        chosen = logits.argmax(dim=1)
    else:
        weights = (logits / temperature).softmax(dim=1)
        chosen = torch.multinomial(weights, 1, generator=generator)[:, 0]
    return [int(token) for token in chosen]
