"""Measures a corpus: a base model is fine-tuned on it and asked the benchmark."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from datachef.core.contracts.metric import AllowCode
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.distribution import NAME
from datachef.core.system.outputs import OutputFolder
from datachef.reward.evaluation.task_scorer import Scoring, TaskScorer
from datachef.reward.evaluation.training import Training, fine_tune
from datachef.reward.metrics import metric_for

ITEMS = 200

_PACKAGES = (NAME, "lm_eval", "peft", "torch", "transformers", "trl")


class EvaluationSettings(BaseModel):
    """How recipes are measured: all that two measurements must share to be compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str | None = Field(
        None,
        description="What is fine-tuned: a checkpoint's folder, an asset such as smollm2, a model "
        "id on the Hugging Face Hub, or tiny; the task's by default.",
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

    `scores` are the metrics of `TaskScorer.measure`, and `tuned` what was chosen in training.
    `seconds` are those of training and measuring together. `checkpoint` is the model, where it was
    kept.
    """

    scores: Mapping[str, float]
    seed: int
    seconds: float
    tuned: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Path | None = None


def evaluate(
    corpus: Path,
    scorer: TaskScorer,
    base_model: str | Path,
    scoring: Scoring,
    *,
    seeds: Sequence[int],
    folder: Path,
    keep: bool = False,
) -> Iterator[SeedResult]:
    """Trains `base_model` on a corpus once per seed and measures each model on a task; gives one
    result after the other, as they are there.

    `scoring` is what `scorer` decided for the base model; the items are the same for every seed and
    corpus. Checkpoints go to `folder/seed-N` and are deleted after measuring unless `keep`. Raises
    `DatachefError` for a corpus that nothing can be learned from, for a benchmark without answers,
    and where `folder` holds something else.
    """
    output = OutputFolder.open(folder, "measurement")
    examples = scorer.example_loss(scoring)
    for seed in seeds:
        output.claim(f"seed-{seed}/")
        started = time.monotonic()
        trained = fine_tune(
            corpus, base_model, scorer.training, seed, folder / f"seed-{seed}", examples
        )
        try:
            scores = scorer.measure(trained.checkpoint, scoring)
        finally:
            if not keep:
                shutil.rmtree(trained.checkpoint, ignore_errors=True)
        yield SeedResult(
            scores,
            seed,
            time.monotonic() - started,
            trained.tuned,
            versions(),
            trained.checkpoint if keep else None,
        )


def require_checker(task: Task, allow_code: AllowCode) -> None:
    """Raises now what would be raised after training: a metric that lacks its package, code that is
    not allowed or cannot be confined."""
    if isinstance(task.benchmark, BenchmarkFile):
        metric_for(task, allow_code=allow_code)


def versions() -> dict[str, str]:
    """The versions of the packages that a measurement depends on, as far as installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
