"""How well a small causal language model among the assets expects a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from datachef.core import (
    ResultMemory,
    asset_checksum,
    checkpoint_folder,
    extra,
    leading_text,
    quiet_loading,
    single_thread,
)

# What operators that score texts by a language model need.
REQUIRED: Mapping[str, str] = {name: extra("models") for name in ("torch", "transformers", "gguf")}
# Rows of one call of an operator that scores: seconds, not minutes.
ROWS_PER_CALL = 16
# What GPT-2, and most models since, were trained to see between two documents.
_BETWEEN_DOCUMENTS = "<|endoftext|>"
# Positions whose probabilities over the vocabulary are held at once.
_POSITIONS = 256
_REMEMBERED = 65_536

Turns = Sequence[Mapping[str, Any]]


def plain_turns(turns: Turns) -> list[dict[str, str]]:
    """Who speaks in each turn and what is said, as every chat template reads it."""
    return [{"role": str(turn["role"]), "content": turn["content"] or ""} for turn in turns]


class LanguageModel:
    """Losses of tokens by a causal language model: negative log-likelihoods in nats.

    Each text goes through the model by itself, in 32 bits and one thread, so that its loss is the
    same in every batch.
    """

    def __init__(self, asset: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = str(checkpoint_folder(asset))
        causal: Any = AutoModelForCausalLM
        with quiet_loading():
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = causal.from_pretrained(
                folder, dtype="float32", local_files_only=True, use_safetensors=True
            ).eval()
        # A model tuned for chat begins conversations with another token than documents.
        known = self._tokenizer.get_vocab()
        start = known.get(_BETWEEN_DOCUMENTS, self._tokenizer.bos_token_id)
        self._start: tuple[int, ...] = () if start is None else (start,)
        self._memory: ResultMemory[float] = ResultMemory(_REMEMBERED)

    def tokens(self, text: str, most: int | None = None) -> list[int]:
        """The first `most` tokens of a text, without those that begin or end a document."""
        read = text if most is None else leading_text(text, most)
        found: list[int] = self._tokenizer.encode(read, add_special_tokens=False)
        return found[:most]

    def prompt(self, turns: Turns) -> list[int]:
        """The tokens of a conversation up to where the assistant answers, by the chat template."""
        said = plain_turns(turns)
        if self._tokenizer.chat_template is None:
            text = "".join(f"{turn['role']}: {turn['content']}\n" for turn in said)
            return self.tokens(f"{text}assistant:")
        text = self._tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        return self.tokens(text)

    def loss(self, tokens: Sequence[int], after: Sequence[int] = ()) -> float | None:
        """The mean loss of `tokens` behind the tokens `after`, or at the beginning of a document;
        None where there are none.

        Without a token that begins a document, the first is not counted there.
        """

        before = tuple(after) or self._start
        first = max(len(before), 1)
        ids = (*before, *tokens)
        return self._mean_loss(ids, first) if len(ids) > first else None

    def _mean_loss(self, ids: tuple[int, ...], first: int) -> float:
        """The mean loss of the tokens from the place `first`."""
        return self._memory.get(repr((ids, first)).encode(), lambda: self._computed(ids, first))

    def _computed(self, ids: tuple[int, ...], first: int) -> float:
        import torch

        with single_thread():
            states = self._model.base_model(torch.tensor([ids[:-1]])).last_hidden_state[0]
            states, wanted = states[first - 1 :], torch.tensor(ids[first:])
            total = 0.0
            for start in range(0, len(wanted), _POSITIONS):
                part = slice(start, start + _POSITIONS)
                logits = self._model.get_output_embeddings()(states[part])
                total += float(
                    torch.nn.functional.cross_entropy(logits, wanted[part], reduction="sum")
                )
        return total / len(wanted)


def language_model(asset: str) -> LanguageModel:
    """The language model of an asset, loaded once per process and content of the asset."""
    return _loaded(asset, asset_checksum(asset))


@lru_cache(maxsize=1)
def _loaded(asset: str, checksum: str) -> LanguageModel:
    return LanguageModel(asset)
