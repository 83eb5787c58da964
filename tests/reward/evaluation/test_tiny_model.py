from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import AutoTokenizer

from datachef.core import DatachefError
from datachef.core.language_models.checkpoint import load_model
from datachef.reward.evaluation import make_tiny


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def make(prose: list[str], folder: Path, seed: int = 0) -> Path:
    return make_tiny(prose, folder, seed=seed, vocabulary=300, hidden=64, layers=1, tokens=3_000)


def test_the_same_texts_and_seed_give_the_same_bytes(prose: list[str], tmp_path: Path) -> None:
    first, again = make(prose, tmp_path / "a"), make(prose, tmp_path / "b")
    assert weights(first) == weights(again)
    assert (first / "tokenizer.json").read_bytes() == (again / "tokenizer.json").read_bytes()
    assert weights(make(prose, tmp_path / "c", seed=1)) != weights(first)


def test_the_tokenizer_keeps_every_byte_and_names_pad_and_end_apart(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    text = "naïve  Zoë\n\t日本 🍎"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    config = json.loads((base / "config.json").read_bytes())
    assert config["vocab_size"] == len(tokenizer) <= 320
    assert (config["pad_token_id"], config["eos_token_id"]) == (
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
    )


def test_the_chat_template_marks_what_the_assistant_says(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "blue"}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False)
    assert rendered == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nblue<|im_end|>\n"
    asked = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert asked == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    both = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    said = [t for t, m in zip(both["input_ids"], both["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(said) == "blue<|im_end|>"


def test_reading_the_texts_taught_it_something(
    prose: list[str], base: Path, tmp_path: Path, loss: Callable[[Path, str], float]
) -> None:
    untaught = make_tiny(
        prose, tmp_path / "u", seed=0, vocabulary=320, hidden=64, layers=2, tokens=1
    )
    assert loss(base, prose[0]) < 0.8 * loss(untaught, prose[0])


def test_weights_are_in_safetensors_alone(base: Path) -> None:
    with safe_open(base / "model.safetensors", "pt") as tensors:
        assert "model.embed_tokens.weight" in tensors.keys()  # noqa: SIM118 - it is no mapping
    assert not [file for file in base.iterdir() if file.suffix in {".bin", ".pt", ".pkl"}]
    assert load_model(base).num_parameters() > 0


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatachefError, match="so little text"):
        make_tiny(["short"], tmp_path / "t", seed=0)
    assert not list(tmp_path.iterdir())
