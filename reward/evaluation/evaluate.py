"""Measures a corpus: a base model is fine-tuned on it and asked the benchmark."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from datachef.core.contracts.metric import AllowCode, BenchmarkItem
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.distribution import NAME
from datachef.core.errors import DatachefError, RowError
from datachef.core.language_models.checkpoint import (
    is_local,
    load_model,
    load_tokenizer,
    quiet,
    training_package,
)
from datachef.core.rows.benchmark import read_benchmark
from datachef.core.system.outputs import OutputFolder
from datachef.core.text.values import composed_text
from datachef.reward.evaluation.training import Training, fine_tune
from datachef.reward.metrics import metric_for

ITEMS = 200
# Draws the items that are asked: the same whatever seed the model was trained with.
ASKED = 0
LIKELIHOOD = "likelihood"

_PACKAGES = (NAME, "lm_eval", "peft", "torch", "transformers", "trl")


class EvaluationSettings(BaseModel):
    """How recipes are measured: all that two measurements must share to be compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str | None = Field(
        None,
        description="What is fine-tuned: a checkpoint's folder, a model id on the Hugging Face "
        "Hub, or tiny; the task's by default.",
    )
    training: Training = Field(default_factory=Training, description="Settings of training.")
    items: int = Field(ITEMS, ge=0, description="Questions of the benchmark to ask; 0 asks all.")
    accuracy: bool = Field(True, description="Score answers too, besides their bits.")
    allow_code: AllowCode = Field(
        False,
        description="Let unit tests run what the model wrote: true, where this system can confine "
        "it; unconfined, everywhere.",
    )


@dataclass(frozen=True)
class SeedResult:
    """What a model scored after training on a corpus with one seed.

    `scores` have "bits_per_byte" of the gold answers and "bits_per_byte_stderr" over items,
    "likelihood", which is `2 ** -bits_per_byte`: the geometric mean of the probability of a byte,
    in [0, 1], and, where accuracy was asked for, the task's metric in [0, 1] with its "_stderr".
    `items` were measured. `seconds` are those of training and measuring together. `checkpoint` is
    the model, where it was kept.
    """

    scores: Mapping[str, float]
    seed: int
    items: int
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Path | None = None


def evaluate(
    corpus: Path,
    task: Task,
    base_model: str | Path,
    *,
    training: Training,
    seeds: Sequence[int],
    folder: Path,
    items: int | None = ITEMS,
    accuracy: bool = False,
    allow_code: AllowCode = False,
    keep: bool = False,
) -> list[SeedResult]:
    """Trains `base_model` on a corpus once per seed and measures each model on the task.

    `items` of the benchmark are drawn and asked, the same for every seed and corpus; None asks all.
    `accuracy` also scores answers with lm-evaluation-harness, which for unit tests runs programs
    that the model wrote and needs `allow_code`. Where the benchmark names a `reference`, its bits
    are measured in place of the gold answer's. Checkpoints go to `folder/seed-N` and are deleted
    after measuring unless `keep`. Raises `DatachefError` for a corpus that nothing can be learned
    from, for a benchmark without answers, and where `folder` holds something else.
    """
    asked = gold_items(task)
    if accuracy:
        require_checker(task, allow_code)
    measurements = []
    output = OutputFolder.open(folder, "measurement")
    for seed in seeds:
        output.claim(f"seed-{seed}/", f"harness-{seed}/")
        started = time.monotonic()
        checkpoint = fine_tune(corpus, base_model, training, seed, folder / f"seed-{seed}")
        try:
            bits = bits_per_byte(checkpoint, asked, limit=items, max_length=training.max_length)
            scores = _likelihood(bits)
            if accuracy:
                from datachef.reward.evaluation.harness import run_harness

                scores |= run_harness(
                    checkpoint,
                    task,
                    limit=items,
                    seed=ASKED,
                    folder=folder / f"harness-{seed}",
                    allow_code=allow_code,
                )
        finally:
            if not keep:
                shutil.rmtree(checkpoint, ignore_errors=True)
        seconds = time.monotonic() - started
        kept = checkpoint if keep else None
        measurements.append(SeedResult(scores, seed, bits.items, seconds, versions(), kept))
    return measurements


def require_checker(task: Task, allow_code: AllowCode) -> None:
    """Raises now what would be raised after training: a metric that lacks its package, code that is
    not allowed or cannot be confined."""
    if isinstance(task.benchmark, BenchmarkFile):
        metric_for(task, allow_code=allow_code)


def gold_items(task: Task) -> list[BenchmarkItem]:
    """The items of a task's benchmark file, each with the one text whose bits are measured.

    Of several accepted answers that is the first. Raises `DatachefError` for a benchmark that is no
    file, and for a row without the field of its `reference`.
    """
    benchmark = task.benchmark
    if not isinstance(benchmark, BenchmarkFile):
        raise DatachefError(
            f"the benchmark of {task.name} is lm-eval's {benchmark.lm_eval}, without a file of "
            "gold answers",
            hint="give benchmark a path, prompt and answer",
        )
    reference = benchmark.reference
    spec = reference or benchmark.answer
    return [
        replace(item, answer=_gold(item, spec, reference)) for item in read_benchmark(benchmark)
    ]


def versions() -> dict[str, str]:
    """The versions of the packages that a measurement depends on, as far as installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _gold(item: BenchmarkItem, spec: str, reference: str | None) -> str:
    accepted = item.row.get(spec)
    if isinstance(accepted, list):
        return str(accepted[0]) if accepted else ""
    if reference is None:
        return item.answer
    try:
        return composed_text(item.row, reference)
    except RowError as error:
        raise DatachefError(
            f"an item of the benchmark lacks what it is measured by: {error}",
            hint="name a field that every item has as the reference",
        ) from None


def _likelihood(bits: BitsPerByte) -> dict[str, float]:
    return {
        "bits_per_byte": bits.mean,
        "bits_per_byte_stderr": bits.standard_error,
        LIKELIHOOD: 2**-bits.mean,
    }


BATCH = 16
MAX_LENGTH = 1_024
# Of a question that is too long this share of the window stays, and the answer is cut instead.
LEAST_PROMPT = 0.25


@dataclass(frozen=True)
class BitsPerByte:
    """`mean` bits per UTF-8 byte of the gold answers, with its standard error over items.

    `items` were measured; `skipped` have no answer.
    """

    mean: float
    standard_error: float
    items: int
    skipped: int = 0


def bits_per_byte(
    model_path: str | Path,
    items: Sequence[BenchmarkItem],
    *,
    limit: int | None = None,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    batch_size: int = BATCH,
) -> BitsPerByte:
    """Measures a checkpoint on at most `limit` items, drawn by `seed`.

    The question stands in the chat template as a user's turn, and the answer where training puts
    it. Every token of the answer counts, the mark that ends the turn does not: it has no bytes, and
    whether a model stops shows in its accuracy. All bits are divided by all bytes, as in
    lm-evaluation-harness, so `2 ** -mean` is the geometric mean of the probability of a byte. The
    standard error is that of a ratio of sums over items. In a window of `max_length` tokens long
    questions lose their beginning, and answers that need more than three quarters of it their end.
    Raises `DatachefError` where no item has an answer.
    """
    answered = [item for item in items if item.answer.strip()]
    if not answered:
        raise DatachefError(
            "no item of the benchmark has an answer",
            hint="name the field that holds it as `answer`",
        )
    chosen = answered
    if limit is not None and limit < len(answered):
        chosen = random.Random(seed).sample(answered, limit)
    with quiet(offline=is_local(model_path)):
        tokenizer, model = load_tokenizer(model_path), load_model(model_path)
    window = min(max_length, getattr(model.config, "max_position_embeddings", max_length))
    spans = [_span(item, tokenizer, window) for item in chosen]
    bits = _bits(model, spans, batch_size)
    size = np.array([span.size for span in spans], dtype=np.float64)
    mean = float(bits.sum() / size.sum())
    return BitsPerByte(
        mean, _standard_error(bits, size, mean), len(chosen), len(items) - len(answered)
    )


@dataclass(frozen=True)
class _Span:
    """The tokens of a question and its answer; those from `start` on have `size` bytes."""

    tokens: list[int]
    start: int
    size: int


def _span(item: BenchmarkItem, tokenizer: Any, window: int) -> _Span:
    prompt = _prompt(item.prompt, tokenizer)
    answer = item.answer.strip()
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
    start = _common(before, whole)
    context, tokens, size = whole[:start], whole[start:], len(answer.encode())
    room = window - min(len(context), max(1, int(LEAST_PROMPT * window)))
    if len(tokens) > room:
        tokens = tokens[:room]
        size = len(tokenizer.decode(tokens).encode())
    context = context[-(window - len(tokens)) :]
    return _Span([*context, *tokens], len(context), size)


def _prompt(question: str, tokenizer: Any) -> str:
    """All that comes before an answer, found by rendering one that stands nowhere else."""
    mark = "\u2401answer\u2401"
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": mark}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False)).partition(mark)[0]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """The length of the common beginning, and no more than leaves the right one a rest."""
    pairs = zip(left, right[:-1], strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right) - 1))


def _bits(model: Any, spans: Sequence[_Span], batch_size: int) -> NDArray[np.float64]:
    """The bits of every answer; spans of like length share a batch."""
    torch = training_package("torch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    bits = np.zeros(len(spans))
    with torch.inference_mode():
        for batch in _batches(spans, batch_size):
            longest = max(len(spans[i].tokens) for i in batch)
            tokens = torch.zeros((len(batch), longest), dtype=torch.long)
            target = torch.full((len(batch), longest), -100)
            attended = torch.zeros((len(batch), longest), dtype=torch.long)
            for row, i in enumerate(batch):
                span = torch.tensor(spans[i].tokens)
                tokens[row, : len(span)] = span
                target[row, spans[i].start : len(span)] = span[spans[i].start :]
                attended[row, : len(span)] = 1
            logits = model(
                input_ids=tokens.to(device), attention_mask=attended.to(device), use_cache=False
            ).logits
            losses = torch.nn.functional.cross_entropy(
                logits[:, :-1].float().transpose(1, 2), target[:, 1:].to(device), reduction="none"
            )
            bits[batch] = losses.double().sum(dim=1).cpu().numpy() / log(2)
    return bits


def _batches(spans: Sequence[_Span], size: int) -> Iterator[list[int]]:
    order = sorted(range(len(spans)), key=lambda i: len(spans[i].tokens))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _standard_error(bits: NDArray[np.float64], size: NDArray[np.float64], ratio: float) -> float:
    count = len(bits)
    if count < 2:
        return float("nan")
    residuals = bits - ratio * size
    return float(sqrt(count / (count - 1) * (residuals**2).sum()) / size.sum())
