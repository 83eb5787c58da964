"""A tokenizer made on the spot, for models that are made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datachef.core.language_models.checkpoint import CHAT_TEMPLATE
from datachef.core.language_models.packages import training_package

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"


def byte_level_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Byte-level BPE of at most `vocabulary` tokens learned from texts, for ChatML."""
    tokenizers = training_package("tokenizers")
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = byte_level(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return training_package("transformers").PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
    )
