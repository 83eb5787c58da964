"""How many bits a model needs for answers, given the questions before them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from math import log, sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datachef.core.contracts.metric import BenchmarkItem
from datachef.core.errors import DatachefError
from datachef.core.language_models.checkpoint import (
    is_local,
    load_model,
    load_tokenizer,
    quiet,
    training_package,
)
from datachef.reward.evaluation.tuning import Losses

BATCH = 16
MAX_LENGTH = 1_024
# Of a question that is too long this share of the window stays, and the answer is cut instead.
LEAST_PROMPT = 0.25
# What guessing each byte takes.
UNIFORM_BITS = 8

# What numbers are computed with, and from how many parameters on auto is bfloat16.
Precision = Literal["auto", "float32", "bfloat16"]
LARGE = 50_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AnswerBits:
    """The `bits` that each answer takes, and its `sizes` in UTF-8 bytes."""

    bits: Floats
    sizes: Floats

    @property
    def per_byte(self) -> tuple[float, float]:
        """All bits divided by all bytes, and the standard error of that over answers."""
        return _ratio(self.bits, self.sizes)

    @property
    def losses(self) -> Losses:
        """The bits per byte of each answer, which counts by its bytes."""
        return Losses(self.bits / np.maximum(self.sizes, 1), self.sizes)

    @property
    def saved(self) -> tuple[float, float]:
        """The share of uniform's bits that is saved, in [0, 1], and its standard error.

        No answer takes more than guessing its bytes does.
        """
        mean, error = _ratio(np.minimum(self.bits, UNIFORM_BITS * self.sizes), self.sizes)
        return 1 - mean / UNIFORM_BITS, error / UNIFORM_BITS


def _ratio(bits: Floats, sizes: Floats) -> tuple[float, float]:
    """A ratio of sums over items and its standard error, NaN for one item."""
    mean = float(bits.sum() / sizes.sum())
    count = len(bits)
    if count < 2:
        return mean, float("nan")
    residuals = bits - mean * sizes
    return mean, float(sqrt(count / (count - 1) * (residuals**2).sum()) / sizes.sum())


@dataclass(frozen=True)
class AnswerModel:
    """A language model that answers are measured with.

    The question stands in the chat template as a user's turn, and the answer where training puts
    it. Every token of the answer counts, the mark that ends the turn does not: it has no bytes, and
    whether a model stops shows in its accuracy. In a window of `max_length` tokens long questions
    lose their beginning, and answers that need more than three quarters of it their end.
    """

    model: Any
    tokenizer: Any
    max_length: int = MAX_LENGTH
    batch_size: int = BATCH

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        max_length: int = MAX_LENGTH,
        batch_size: int = BATCH,
        dtype: Precision = "auto",
    ) -> AnswerModel:
        """The checkpoint of a folder, or of the Hub."""
        torch = training_package("torch")
        with quiet(offline=is_local(path)):
            tokenizer, model = load_tokenizer(path), load_model(path)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = model.to(device, getattr(torch, precision(model, dtype)))
        return cls(model.eval(), tokenizer, max_length, batch_size)

    def answer_bits(self, pairs: Sequence[tuple[str, str]]) -> AnswerBits:
        """The bits of the answer in each pair of a question and an answer."""
        limit = getattr(self.model.config, "max_position_embeddings", self.max_length)
        window = min(self.max_length, limit)
        spans = [_span(question, answer, self.tokenizer, window) for question, answer in pairs]
        sizes = np.array([span.size for span in spans], dtype=np.float64)
        return AnswerBits(_bits(self.model, spans, self.batch_size), sizes)


def precision(model: Any, asked: Precision) -> str:
    """The numbers that a model computes with: bfloat16 is fast where it is large, and its rounding
    errors are worth more than its speed where it is small."""
    if asked != "auto":
        return asked
    size = sum(parameter.numel() for parameter in model.parameters())
    return "bfloat16" if size >= LARGE else "float32"


def drawn(items: Sequence[BenchmarkItem], limit: int | None, seed: int) -> list[BenchmarkItem]:
    """At most `limit` of the items with an answer. Raises `DatachefError` where there are none."""
    answered = [item for item in items if item.answer.strip()]
    if not answered:
        raise DatachefError(
            "no item of the benchmark has an answer",
            hint="name the field that holds it as `answer`",
        )
    if limit is not None and limit < len(answered):
        return random.Random(seed).sample(answered, limit)
    return answered


@dataclass(frozen=True)
class _Span:
    """The tokens of a question and its answer; those from `start` on have `size` bytes."""

    tokens: tuple[int, ...]
    start: int
    size: int


def _span(question: str, answer: str, tokenizer: Any, window: int) -> _Span:
    prompt = _prompt(question, tokenizer)
    answer = answer.strip()
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
    start = _common(before, whole)
    context, tokens, size = whole[:start], whole[start:], len(answer.encode())
    room = window - min(len(context), max(1, int(LEAST_PROMPT * window)))
    if len(tokens) > room:
        tokens = tokens[:room]
        size = len(tokenizer.decode(tokens).encode())
    context = context[-(window - len(tokens)) :]
    return _Span((*context, *tokens), len(context), size)


def _prompt(question: str, tokenizer: Any) -> str:
    """All that comes before an answer, found by rendering one that stands nowhere else."""
    mark = "\u2401answer\u2401"
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": mark}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False)).partition(mark)[0]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """The length of the common beginning, and no more than leaves the right one a rest."""
    pairs = zip(left, right[:-1], strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right) - 1))


def _bits(model: Any, spans: Sequence[_Span], batch_size: int) -> Floats:
    """The bits of every answer. Inputs of like length share a batch, and answers that differ in
    their last token alone, as letters do, an input."""
    torch = training_package("torch")
    answers: dict[tuple[int, ...], list[int]] = {}
    for number, span in enumerate(spans):
        answers.setdefault(span.tokens[:-1], []).append(number)
    keeps = "logits_to_keep" in signature(model.forward).parameters
    bits = np.zeros(len(spans))
    with torch.inference_mode():
        for inputs in _batches(list(answers), batch_size):
            longest = max(map(len, inputs))
            tokens = torch.zeros((len(inputs), longest), dtype=torch.long)
            attended = torch.zeros_like(tokens)
            for row, known in enumerate(inputs):
                tokens[row, : len(known)] = torch.tensor(known)
                attended[row, : len(known)] = 1
            # Logits are needed from the first answer of the batch on.
            first = min(spans[i].start - 1 for known in inputs for i in answers[known])
            first = max(first, 0) if keeps else 0
            kept = {"logits_to_keep": longest - first} if keeps else {}
            logits = model(
                input_ids=tokens.to(model.device),
                attention_mask=attended.to(model.device),
                use_cache=False,
                **kept,
            ).logits
            for row, known in enumerate(inputs):
                for i in answers[known]:
                    start = max(spans[i].start, 1)
                    target = torch.tensor(spans[i].tokens[start:], device=logits.device)
                    said = logits[row, start - 1 - first : len(known) - first].float()
                    loss = torch.nn.functional.cross_entropy(said, target, reduction="none")
                    bits[i] = float(loss.double().sum()) / log(2)
    return bits


def _batches(inputs: Sequence[tuple[int, ...]], size: int) -> Iterator[Sequence[tuple[int, ...]]]:
    ordered = sorted(inputs, key=len)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
