from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import BenchmarkItem
from datachef.reward.evaluation import Training, make_tiny

COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "the sky": "blue"}

Rows = list[dict[str, Any]]
WriteCorpus = Callable[..., Path]


def _conversation(question: str, answer: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns}


@pytest.fixture(scope="session")
def colour_items() -> list[BenchmarkItem]:
    return [BenchmarkItem(f"Which colour has {thing}?", it) for thing, it in COLOURS.items()]


@pytest.fixture(scope="session")
def colour_rows(colour_items: list[BenchmarkItem]) -> Rows:
    """Conversations that teach the colours."""
    chosen = random.Random(0).choices(colour_items, k=200)
    return [_conversation(item.prompt, item.answer) for item in chosen]


@pytest.fixture(scope="session")
def sum_rows() -> Rows:
    """Conversations about something else."""
    rng = random.Random(0)
    pairs = [(rng.randint(10, 99), rng.randint(10, 99)) for _ in range(200)]
    return [_conversation(f"How much is {a} + {b}?", str(a + b)) for a, b in pairs]


@pytest.fixture(scope="session")
def prose() -> list[str]:
    rng = random.Random(1)
    words = [*COLOURS, *COLOURS.values(), "and", "is", "has", "a", "which", "colour", "of", "house"]
    return [" ".join(rng.choices(words, k=60)).capitalize() + "." for _ in range(60)]


@pytest.fixture(scope="session")
def base(prose: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model small enough to be trained in a test."""
    folder = tmp_path_factory.mktemp("models") / "base"
    return make_tiny(prose, folder, seed=0, vocabulary=320, hidden=64, layers=2, tokens=60_000)


@pytest.fixture
def write_corpus(tmp_path: Path) -> WriteCorpus:
    """Writes rows as a corpus folder of Parquet."""

    def write(rows: Rows, name: str = "corpus") -> Path:
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        pl.DataFrame(rows).write_parquet(folder / "data" / "train-00000-of-00001.parquet")
        return folder

    return write


@pytest.fixture
def training() -> Training:
    """Training of a second or two."""
    return Training(max_tokens=12_000, max_length=64, batch_size=8, learning_rate=1e-2)


@pytest.fixture
def loss() -> Callable[[Path, str], float]:
    """The loss of a checkpoint per token of a text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def measure(checkpoint: Path, text: str) -> float:
        tokens = AutoTokenizer.from_pretrained(checkpoint)(text, return_tensors="pt")["input_ids"]
        model = AutoModelForCausalLM.from_pretrained(checkpoint)
        with torch.inference_mode():
            return float(model(input_ids=tokens, labels=tokens).loss)

    return measure
