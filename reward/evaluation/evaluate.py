"""True measurement: a base model is fine-tuned on a corpus and asked the benchmark."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean

from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.distribution import NAME
from datachef.core.errors import DatachefError, RowError
from datachef.core.rows.benchmark import BenchmarkItem, read_benchmark
from datachef.core.statistics import mean_interval
from datachef.core.system.outputs import OutputFolder
from datachef.core.text.values import composed_text
from datachef.reward.evaluation.bits import BitsPerByte, bits_per_byte
from datachef.reward.evaluation.training import Training, fine_tune
from datachef.reward.metrics import AllowCode, make_metric

ITEMS = 200
# Draws the items that are asked: the same whatever seed the model was trained with.
ASKED = 0
LIKELIHOOD = "likelihood"

_PACKAGES = (NAME, "lm_eval", "peft", "torch", "transformers", "trl")


@dataclass(frozen=True)
class Measurement:
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


@dataclass(frozen=True)
class Summary:
    """The mean of a score over seeds, with Student's t interval; one seed alone has none."""

    mean: float
    interval: tuple[float, float] | None
    seeds: int


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
) -> list[Measurement]:
    """Trains `base_model` on a corpus once per seed and measures each model on the task.

    The first `items` of the benchmark in an order of their own are asked, the same for every seed
    and corpus; None asks all. `accuracy` also scores answers with lm-evaluation-harness, which for
    unit tests runs programs that the model wrote and needs `allow_code`. Where the benchmark names
    a `reference`, its bits are measured in place of the gold answer's. Checkpoints go to
    `folder/seed-N` and are deleted after measuring unless `keep`. Raises `DatachefError` for a
    corpus that nothing can be learned from, for a benchmark without answers, and where others keep
    something in `folder`.
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
        measurements.append(Measurement(scores, seed, bits.items, seconds, versions(), kept))
    return measurements


def require_checker(task: Task, allow_code: AllowCode) -> None:
    """Raises now what would be raised after training: a metric that lacks its package, code that is
    not allowed or cannot be confined."""
    if isinstance(task.benchmark, BenchmarkFile):
        make_metric(task.metric, allow_code=allow_code)


def summary(
    measurements: Sequence[Measurement], score: str = LIKELIHOOD, coverage: float = 0.95
) -> Summary:
    """The mean of a score over measurements, with the t interval of that coverage.

    Raises `DatachefError` without measurements, or where one lacks the score.
    """
    if not measurements or any(score not in m.scores for m in measurements):
        known = sorted({name for m in measurements for name in m.scores})
        raise DatachefError(
            f"not every measurement has the score {score!r}",
            hint=f"there are: {', '.join(known)}" if known else "measure at least one seed",
        )
    values = [measurement.scores[score] for measurement in measurements]
    return Summary(fmean(values), mean_interval(values, coverage), len(values))


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
