"""Drafts from a model of transformers in this process, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from datachef.core.language_models.checkpoint import is_local, load_model, load_tokenizer, quiet
from datachef.core.language_models.packages import training_package
from datachef.policy.brief import Brief, Messages
from datachef.policy.decoding.base import Decoder, Draft
from datachef.policy.decoding.tokens import sample_tokens
from datachef.policy.grammar import Grammars

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
