"""Decoding with a model of transformers in this process, on a CPU or a GPU: sampling under a
grammar for each row of the batch."""

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
from datachef.policy.decoding.base import Decoder
from datachef.policy.grammar import CompiledGrammars, Grammar, GrammarState
from datachef.policy.prompt.writer import Messages, Prompt
from datachef.policy.space.space import RecipeDraft

if TYPE_CHECKING:
    import torch

BATCH = 32
# Tokens per row in a forward pass after the prompt, at most. Rows with fewer are padded; with a
# larger number the padding would cost more than the saved passes.
STRIDE = 8


class LocalDecoder(Decoder):
    """Samples from `model` with `tokenizer`, in batches of `batch` texts."""

    def __init__(self, model: Any, tokenizer: Any, batch: int = BATCH) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        self._grammars = CompiledGrammars(tokenizer)

    @classmethod
    def of(cls, model: str | Path, batch: int = BATCH) -> LocalDecoder:
        """The decoder of a checkpoint's folder or a model id on the Hugging Face Hub, on a GPU if
        there is one.

        Raises `DatachefError` if there is no such model.
        """
        torch = training_package("torch")
        with quiet(offline=is_local(model)):
            loaded, tokenizer = load_model(model), load_tokenizer(model)
        return cls(loaded.to("cuda") if torch.cuda.is_available() else loaded, tokenizer, batch)

    def sample(
        self, prompts: Sequence[Prompt], *, temperature: float = 1.0, seed: int = 0
    ) -> list[RecipeDraft]:
        import torch

        generator = torch.Generator(self._model.device).manual_seed(seed)
        self._model.eval()
        drafts: list[RecipeDraft] = []
        for start in range(0, len(prompts), self._batch):
            some = prompts[start : start + self._batch]
            texts = sample_tokens(
                self._model,
                [prompt_tokens(prompt, self._tokenizer) for prompt in some],
                [self._grammars.of(prompt.space) for prompt in some],
                temperature=temperature,
                generator=generator,
            )
            drafts += [orjson.loads(text_of(tokens, self._tokenizer)) for tokens in texts]
        return drafts

    def count_tokens(self, messages: Messages) -> int:
        return count_tokens(messages, self._tokenizer)


def prompt_tokens(prompt: Prompt, tokenizer: Any) -> list[int]:
    """The tokens of a prompt, up to where the response begins."""
    return message_tokens(prompt.messages, tokenizer)


def message_tokens(messages: Messages, tokenizer: Any) -> list[int]:
    """The tokens of chat messages, up to where the response begins. Thinking is turned off in
    models that have it."""
    found = tokenizer.apply_chat_template(
        list(messages),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
        enable_thinking=False,
    )
    return [int(token) for token in found]


def count_tokens(messages: Messages, tokenizer: Any) -> int:
    """The number of tokens of chat messages."""
    return len(message_tokens(messages, tokenizer))


def text_of(tokens: Sequence[int], tokenizer: Any) -> str:
    """The text of tokens, without the end token."""
    return str(
        tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )


def sample_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    grammars: Sequence[Grammar],
    *,
    temperature: float,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """The tokens of a text for each prompt, up to and with the end token.

    `model` is a causal language model of transformers. Forced tokens are fed in blocks and never
    sampled. All others are sampled from the model's distribution over the allowed tokens at
    `temperature`; 0 takes the most likely one. Without a `generator` torch's global one is used.
    """
    states = [grammar.start() for grammar in grammars]
    texts: list[list[int]] = [state.forced() for state in states]
    pending = [[*prompt, *text] for prompt, text in zip(prompts, texts, strict=True)]
    reader = _Reader(model, len(pending))
    width = max(map(len, pending))
    while not all(state.finished for state in states):
        block = [tokens[:width] for tokens in pending]
        pending = [tokens[width:] for tokens in pending]
        logits = reader.read(block)
        deciding = [
            row for row, state in enumerate(states) if not state.finished and not pending[row]
        ]
        if deciding:
            chosen = _choose(
                logits[deciding], [states[r] for r in deciding], temperature, generator
            )
            for row, token in zip(deciding, chosen, strict=True):
                states[row].advance(token)
                pending[row] = [token, *states[row].forced()]
                texts[row] += pending[row]
        unfinished = [
            len(tokens) for tokens, state in zip(pending, states, strict=True) if not state.finished
        ]
        width = min(STRIDE, max(unfinished, default=1))
    return texts


class _Reader:
    """Feeds blocks of tokens of different lengths to a model, and keeps its cache."""

    def __init__(self, model: Any, rows: int) -> None:
        import torch
        from transformers import DynamicCache

        self._model = model
        self._cache = {_cache_parameter(model): DynamicCache()}
        self._mask = torch.zeros(rows, 0, dtype=torch.long, device=model.device)

    def read(self, block: Sequence[Sequence[int]]) -> torch.Tensor:
        """The logits (rows, vocabulary) after the tokens of each row; undefined for a row without
        tokens."""
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
    """The parameter of the model's cache: `cache` since transformers 5.24, which vLLM does not
    support yet, and `past_key_values` before. A model with adapters hides it behind `**kwargs`."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in signature(base.forward).parameters else "past_key_values"


def _choose(
    logits: torch.Tensor,
    states: Sequence[GrammarState],
    temperature: float,
    generator: torch.Generator | None,
) -> list[int]:
    import torch

    allowed = np.zeros(logits.shape, dtype=bool)
    for row, state in enumerate(states):
        allowed[row, state.allowed()] = True
    logits = logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), -torch.inf)
    if temperature == 0:
        chosen = logits.argmax(dim=1)
    else:
        weights = (logits / temperature).softmax(dim=1)
        chosen = torch.multinomial(weights, 1, generator=generator)[:, 0]
    return [int(token) for token in chosen]
