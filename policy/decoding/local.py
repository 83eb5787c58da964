"""Drafts from a model of transformers in this process, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from datachef.core.language_models.checkpoint import (
    is_local,
    load_model,
    load_tokenizer,
    quiet,
    training_package,
)
from datachef.policy.decoding.base import Decoder, Draft
from datachef.policy.grammar import Grammar, Grammars, Walk
from datachef.policy.prompt.writer import Brief, Messages

if TYPE_CHECKING:
    import torch

BATCH = 32


class LocalDecoder(Decoder):
    """Samples from `model` with `tokenizer`; so many texts of a batch grow together."""

    def __init__(self, model: Any, tokenizer: Any, batch: int = BATCH) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        self._grammars = Grammars(tokenizer)

    @classmethod
    def of(cls, model: str | Path, batch: int = BATCH) -> LocalDecoder:
        """The decoder of a checkpoint's folder or a name of the hub, on a GPU where there is one.

        Raises `DatachefError` where there is no such model.
        """
        torch = training_package("torch")
        with quiet(offline=is_local(model)):
            loaded, tokenizer = load_model(model), load_tokenizer(model)
        return cls(loaded.to("cuda") if torch.cuda.is_available() else loaded, tokenizer, batch)

    def sample(
        self, briefs: Sequence[Brief], *, temperature: float = 1.0, seed: int = 0
    ) -> list[Draft]:
        import torch

        generator = torch.Generator(self._model.device).manual_seed(seed)
        self._model.eval()
        drafts: list[Draft] = []
        for start in range(0, len(briefs), self._batch):
            some = briefs[start : start + self._batch]
            texts = sample_tokens(
                self._model,
                [prompt_tokens(brief, self._tokenizer) for brief in some],
                [self._grammars.of(brief.space) for brief in some],
                temperature=temperature,
                generator=generator,
            )
            drafts += [orjson.loads(text_of(tokens, self._tokenizer)) for tokens in texts]
        return drafts

    def count_tokens(self, messages: Messages) -> int:
        return count_tokens(messages, self._tokenizer)


def prompt_tokens(brief: Brief, tokenizer: Any) -> list[int]:
    """A brief in tokens, up to where the answer begins."""
    return message_tokens(brief.messages, tokenizer)


def message_tokens(messages: Messages, tokenizer: Any) -> list[int]:
    """Chat messages in tokens, up to where the answer begins. Models that could think aloud before
    they answer are told not to."""
    found = tokenizer.apply_chat_template(
        list(messages),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
        enable_thinking=False,
    )
    return [int(token) for token in found]


def count_tokens(messages: Messages, tokenizer: Any) -> int:
    """How many tokens of a model a brief has."""
    return len(message_tokens(messages, tokenizer))


def text_of(tokens: Sequence[int], tokenizer: Any) -> str:
    """What tokens of a grammar spell, without the end token."""
    return str(
        tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )


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
        with torch.no_grad():
            output = self._model(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=self._mask,
                position_ids=token_positions(self._mask)[:, -width:],
                use_cache=True,
                logits_to_keep=1,
                **self._cache,
            )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits


def token_positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """The position of every token in its text (batch, length), not counting the padding."""
    return (attention_mask.cumsum(1) - 1).clamp(min=0)


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
