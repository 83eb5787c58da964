from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datachef.core import BenchmarkItem, DatachefError
from datachef.core.language_models.checkpoint import load_tokenizer, quiet
from datachef.reward.evaluation.likelihoods import drawn

Bits = Callable[..., tuple[float, float]]


def by_hand(model: Path, question: str, answer: str) -> float:
    """The bits of an answer, token by token."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model)
    asked = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    before = tokenizer(asked)["input_ids"]
    bits = 0.0
    for token in tokenizer(answer)["input_ids"]:
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([before])).logits[0, -1]
        bits -= float(torch.log_softmax(logits.double(), dim=0)[token]) / log(2)
        before = [*before, token]
    return bits


def test_bits_are_those_of_the_tokens_of_the_answers(base: Path, bits_per_byte: Bits) -> None:
    pairs = [("Which colour has snow?", "white"), ("And Zoë?", "naïve blue 日本"), ("?", "a\nb")]
    bits = np.array([by_hand(base, *pair) for pair in pairs])
    size = np.array([len(answer.encode()) for _, answer in pairs])
    mean, error = bits_per_byte(base, [BenchmarkItem(*pair) for pair in pairs])
    ratio = bits.sum() / size.sum()
    assert mean == pytest.approx(ratio, rel=1e-5)
    # The variance of a ratio of sums by linearisation, for three items.
    spread = sqrt(3 / 2 * ((bits - ratio * size) ** 2).sum()) / size.sum()
    assert error == pytest.approx(spread, rel=1e-4)
    assert np.isnan(bits_per_byte(base, [BenchmarkItem(*pairs[0])])[1])


def test_batches_change_nothing(
    base: Path, colour_items: list[BenchmarkItem], bits_per_byte: Bits
) -> None:
    alone = bits_per_byte(base, colour_items, batch_size=1)
    together = bits_per_byte(base, colour_items[::-1], batch_size=4)
    assert alone == pytest.approx(together, rel=1e-4)


def test_items_with_an_answer_are_drawn_by_seed() -> None:
    answered = [BenchmarkItem(f"Which colour has {n}?", "blue") for n in range(30)]
    items = [*answered, BenchmarkItem("None?", " \n"), BenchmarkItem("x", "")]
    assert drawn(items, None, 0) == drawn(items, 99, 0) == answered
    first, again, other = (drawn(items, 5, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(first) == len(other) == 5
    with pytest.raises(DatachefError, match="no item of the benchmark has an answer"):
        drawn(items[30:], None, 0)


def test_long_questions_lose_their_beginning(base: Path, bits_per_byte: Bits) -> None:
    question = "grass snow coal blood house " * 40
    measured, _ = bits_per_byte(base, [BenchmarkItem(question, "blue")], max_length=64)
    tokenizer = load_tokenizer(base)
    asked = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    tokens = tokenizer(asked + "blue")["input_ids"][-64:]
    answer = len(tokenizer("blue")["input_ids"])
    network = AutoModelForCausalLM.from_pretrained(base)
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([tokens])).logits[0].double()
    chances = torch.log_softmax(logits, dim=1)
    bits = -sum(float(chances[i - 1, tokens[i]]) for i in range(64 - answer, 64)) / log(2)
    assert measured == pytest.approx(bits / 4, rel=1e-5)


def test_answers_that_fill_the_window_lose_their_end(base: Path, bits_per_byte: Bits) -> None:
    beginning = "blue house and red house and "
    cut, _ = bits_per_byte(base, [BenchmarkItem("Which?" * 20, beginning * 40)], max_length=64)
    assert 0 < cut < 8
    longer, _ = bits_per_byte(base, [BenchmarkItem("Which?" * 20, beginning * 90)], max_length=64)
    assert longer == pytest.approx(cut, rel=1e-6)


def test_the_answer_stands_where_training_puts_it(
    base: Path, tmp_path: Path, bits_per_byte: Bits
) -> None:
    """A template may write something before an answer that a question alone does not show."""
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: "
        "{% if m['role'] == 'assistant' %}red and red and {% endif %}"
        "{{ m['content'] }}<|im_end|>{% endfor %}"
    )
    with quiet(offline=True):
        AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    network = AutoModelForCausalLM.from_pretrained(base)
    before = tokenizer("user: Which?<|im_end|>assistant: red and red and ")["input_ids"]
    tokens = tokenizer("user: Which?<|im_end|>assistant: red and red and red")["input_ids"]
    shared = next(i for i, t in enumerate(tokens) if i == len(before) or before[i] != t)
    with torch.inference_mode():
        chances = network(input_ids=torch.tensor([tokens])).logits[0].double().log_softmax(dim=1)
    bits = -sum(float(chances[i - 1, tokens[i]]) for i in range(shared, len(tokens))) / log(2)
    measured, _ = bits_per_byte(tmp_path, [BenchmarkItem("Which?", "red")])
    assert measured == pytest.approx(bits / 3, rel=1e-5)
