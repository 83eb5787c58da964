"""A small language model made on the spot, so that measuring needs no download and no GPU."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datachef.core.errors import DatachefError
from datachef.core.language_models.checkpoint import byte_level_tokenizer, quiet, training_package
from datachef.core.system.atomic import replacing
from datachef.reward.evaluation.corpus import Row
from datachef.reward.evaluation.training import Training, train

PIECE = 1_200
ENOUGH = 2_000


def make_tiny(
    texts: Sequence[str],
    folder: Path,
    *,
    seed: int,
    vocabulary: int = 1_024,
    hidden: int = 128,
    layers: int = 4,
    tokens: int = 1_000_000,
) -> Path:
    """Makes a Llama model of about a million parameters and its tokenizer in `folder`.

    The tokenizer is byte-level BPE of `vocabulary` tokens learned from `texts`, with ChatML as its
    chat template. The model has `layers` layers of width `hidden` and has read `tokens` tokens of
    the texts, every other piece of them framed as a question and its answer, so that the marks of a
    conversation mean something to it. On one machine the same texts and seed give the same bytes,
    however many cores it has. Raises `DatachefError` where the texts are less than 2,000
    characters.
    """
    if sum(map(len, texts)) < ENOUGH:
        raise DatachefError(
            "a tiny model cannot be made of so little text",
            hint=f"give {ENOUGH:,} characters at least; a few hundred thousand are good",
        )
    with quiet(offline=True), _one_thread():
        tokenizer = byte_level_tokenizer(texts, vocabulary)
        model = _model(tokenizer, hidden, layers, seed)
        settings = Training(
            epochs=1_000, max_tokens=tokens, learning_rate=3e-3, batch_size=8, max_length=256
        )
        model = train(model, tokenizer, _rows(texts, tokenizer, seed), settings, seed)
        with replacing(folder) as staging:
            model.save_pretrained(staging)
            tokenizer.save_pretrained(staging)
    return folder


def _model(tokenizer: Any, hidden: int, layers: int, seed: int) -> Any:
    transformers = training_package("transformers")
    transformers.set_seed(seed)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=3 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=max(1, hidden // 64),
            num_key_value_heads=1,
            max_position_embeddings=2_048,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _rows(texts: Sequence[str], tokenizer: Any, seed: int) -> list[Row]:
    """The texts in pieces; every other one is a conversation, written out."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number, piece in enumerate(_pieces(texts)):
        words = piece.split(" ")
        if number % 2 == 0 or len(words) < 2:
            rows.append({"text": piece})
            continue
        cut = rng.randrange(1, len(words))
        turns = [
            {"role": "user", "content": " ".join(words[:cut])},
            {"role": "assistant", "content": " ".join(words[cut:])},
        ]
        rows.append({"text": tokenizer.apply_chat_template(turns, tokenize=False)})
    return rows


def _pieces(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for start in range(0, len(text), PIECE):
            if (piece := text[start : start + PIECE]).strip():
                yield piece


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of numbers do not depend on how many threads share them where there is one."""
    torch = training_package("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
