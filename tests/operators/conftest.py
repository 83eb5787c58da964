"""Tiny classifiers and reward models, trained on real rows where a test asks for them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datachef.core.language_models.checkpoint import byte_level_tokenizer

TOKENS = 96
Turns = list[dict[str, Any]]


def lines(file: Path, most: int) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for _, line in zip(range(most), stream, strict=False):
            yield json.loads(line)


def train(model: Any, tokenizer: Any, texts: list[str], labels: list[int], rate: float) -> None:
    """One epoch of AdamW in one thread; a model with one logit learns by the logistic loss."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    model.train()
    for start in range(0, len(order), 16):
        places = order[start : start + 16]
        batch = tokenizer(
            [texts[i] for i in places], padding=True, truncation=True, max_length=TOKENS,
            return_tensors="pt",
        )  # fmt: skip
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        wanted = torch.tensor([labels[i] for i in places])
        loss = (
            torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], wanted.float())
            if logits.shape[1] == 1
            else torch.nn.functional.cross_entropy(logits, wanted)
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_num_threads(threads)
    model.eval()


@pytest.fixture(scope="session")
def sentences(shared_data: Path) -> tuple[list[str], list[int]]:
    """Short sentences, a part of them insults (1), in an order of chance."""
    rows = list(lines(shared_data / "noise" / "toxicity_madlibs.jsonl.gz", 20_000))
    rows = random.Random(1).sample(rows, 1_800)
    return [row["Text"] for row in rows], [int(row["Label"] == "BAD") for row in rows]


@pytest.fixture(scope="session")
def classifier(
    sentences: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny BERT that was trained to tell insults, with the labels clean and toxic."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    texts, labels = sentences[0][:1_600], sentences[1][:1_600]
    tokenizer = byte_level_tokenizer(texts, 600)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=TOKENS, pad_token_id=tokenizer.pad_token_id,
        id2label={0: "clean", 1: "toxic"}, label2id={"clean": 0, "toxic": 1},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    tokenizer.model_max_length = TOKENS
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    train(model, tokenizer, texts, labels, 3e-3)
    folder = tmp_path_factory.mktemp("toxicity")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def talk(question: str, answer: str) -> Turns:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@pytest.fixture(scope="session")
def talks(shared_data: Path) -> tuple[list[Turns], list[Turns]]:
    """Instructions with their answers, and the same with headlines in the place of answers."""
    asked = [
        row
        for row in lines(shared_data / "pool" / "alpaca_5000.jsonl.gz", 3_000)
        if not row["input"] and len(row["instruction"]) < 80 and 20 < len(row["output"]) < 160
    ][:340]
    headlines = lines(shared_data / "noise" / "clickbait_headlines.jsonl.gz", 340)
    good = [talk(row["instruction"], row["output"]) for row in asked]
    bad = [talk(r["instruction"], h["text"]) for r, h in zip(asked, headlines, strict=False)]
    return good, bad


@pytest.fixture(scope="session")
def reward_model(
    talks: tuple[list[Turns], list[Turns]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny Qwen with one logit that was trained to prefer answers to headlines."""
    import torch
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    chats = [*talks[0][:280], *talks[1][:280]]
    tokenizer = byte_level_tokenizer([turn["content"] for t in chats for turn in t], 600)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=12, intermediate_size=96, num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = Qwen3ForSequenceClassification(config)
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    tokenizer.truncation_side = "left"
    train(model, tokenizer, texts, [1] * 280 + [0] * 280, 5e-3)
    folder = tmp_path_factory.mktemp("reward")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
