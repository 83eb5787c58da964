from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import BenchmarkItem
from datachef.reward.evaluation import Training, make_tiny
from datachef.reward.evaluation.likelihoods import AnswerModel

COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "the sky": "blue"}

Rows = list[dict[str, Any]]
WriteCorpus = Callable[..., Path]
Scripted = Callable[[Mapping[str, str]], Any]


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


def _bits_per_byte(model: Path, items: list[BenchmarkItem], **options: Any) -> tuple[float, float]:
    answers = AnswerModel.load(model, **options)
    return answers.answer_bits([(item.prompt, item.answer) for item in items]).per_byte


@pytest.fixture(scope="session")
def bits_per_byte() -> Callable[..., tuple[float, float]]:
    """What a checkpoint needs for the answers of items, with the standard error."""
    return _bits_per_byte


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
    return Training(max_tokens=12_000, max_length=64, batch_tokens=256, learning_rate=1e-2)


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


@pytest.fixture(scope="session")
def scripted() -> Scripted:
    """Makes a model of the harness that says, and finds probable, what it is told per prompt."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.model import LM

    class Scripted(LM):  # type: ignore[misc]  # lm_eval has no types
        tokenizer_name = "scripted"

        def __init__(self, lines: Mapping[str, str]) -> None:
            super().__init__()
            self.lines = lines
            self.asked: list[str] = []

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [self._line(request.args[0]) for request in requests]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            pairs = [request.args for request in requests]
            same = [self._line(context) == continuation.strip() for context, continuation in pairs]
            return [(-0.1 if is_said else -9.0, is_said) for is_said in same]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError

        def apply_chat_template(self, history: list[dict[str, str]], **_: Any) -> str:
            return "".join(f"<{turn['role']}>{turn['content']}" for turn in history) + "<answer>"

        def _line(self, context: str) -> str:
            self.asked.append(context)
            return self.lines[context.removeprefix("<user>").removesuffix("<answer>")]

    return Scripted
