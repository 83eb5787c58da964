"""Losses are those of transformers, and the same for a text wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datachef.core import checkpoint_folder
from datachef.operators.models.language_model import LanguageModel, language_model

TEXT = "Water boils at 100 degrees Celsius at sea level, and freezes at 0 degrees. " * 30


@pytest.fixture(scope="module")
def model(smollm2: Path) -> LanguageModel:
    return language_model("smollm2")


def test_the_checkpoint_is_made_once_and_is_an_ordinary_one(smollm2: Path) -> None:
    folder = checkpoint_folder("smollm2")
    assert checkpoint_folder("smollm2") == folder
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert "quantization" not in (folder / "config.json").read_text(encoding="utf-8")


def test_losses_are_those_of_transformers(model: LanguageModel) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(checkpoint_folder("smollm2"))
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    start = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    ids = [start, *tokenizer.encode(TEXT, add_special_tokens=False)]
    with torch.no_grad():
        expected = plain(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    assert len(ids) > 512
    assert model.loss(model.tokens(TEXT)) == pytest.approx(expected, rel=1e-4)


def test_what_stands_before_counts_and_is_not_counted(model: LanguageModel) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    answer = model.tokens("The capital of France is Paris.")
    behind, alone = model.loss(answer, model.prompt(question)), model.loss(answer)
    assert behind == pytest.approx(0.37, abs=0.05)
    assert alone == pytest.approx(2.47, abs=0.05)
    assert model.loss([]) is None
