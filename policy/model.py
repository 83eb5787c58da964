"""The model behind a policy: a checkpoint, or a tiny one made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from datachef.core.atomic import replacing
from datachef.core.language_models.checkpoint import quiet
from datachef.core.language_models.packages import training_package
from datachef.core.language_models.tokenizer import byte_level_tokenizer

TINY = "tiny"
_VERSION = 1


def make_tiny_policy(
    texts: Sequence[str],
    cache: Path,
    *,
    seed: int = 0,
    vocabulary: int = 1_024,
    hidden: int = 128,
    layers: int = 3,
    positions: int = 4_096,
) -> Path:
    """The folder of a Qwen3 of random weights, about a million parameters, with a tokenizer that
    is learned from `texts`: briefs and drafts as they are going to be.

    The same arguments find the same folder in `cache`. Its embeddings are not tied, which vLLM
    needs of models whose weights are replaced while it serves them.
    """
    digest = blake2b(f"{_VERSION} {seed} {vocabulary} {hidden} {layers} {positions}".encode())
    for text in texts:
        digest.update(text.encode() + b"\0")
    folder = cache / "policies" / digest.hexdigest()[:32]
    if folder.is_dir():
        return folder
    transformers = training_package("transformers")
    with quiet(offline=True), replacing(folder) as staging:
        tokenizer = byte_level_tokenizer(texts, vocabulary)
        transformers.set_seed(seed)
        model = transformers.Qwen3ForCausalLM(_config(tokenizer, hidden, layers, positions))
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
    return folder


def _config(tokenizer: Any, hidden: int, layers: int, positions: int) -> Any:
    return training_package("transformers").Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 32),
        num_key_value_heads=max(1, hidden // 32),
        head_dim=32,
        max_position_embeddings=positions,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
