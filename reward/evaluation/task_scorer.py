"""How the answers of a task are scored: the kind of score, its form and its points of reference.

All of it is decided once per base model and task, by the untrained base model. Deciding it for each
recipe would compare scores that mean different things.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from datachef.core.contracts.metric import AllowCode, BenchmarkItem, Choices
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.errors import DatachefError, RowError
from datachef.core.registry.installed import metric_of
from datachef.core.rows.benchmark import read_benchmark
from datachef.core.text.values import composed_text
from datachef.reward.evaluation.choices import (
    LABEL_FORM,
    OptionQuestion,
    choice_chance,
    choice_losses,
    choice_scores,
    example_questions,
    question_forms,
)
from datachef.reward.evaluation.likelihoods import AnswerModel, drawn
from datachef.reward.evaluation.training import ExampleLoss, Training
from datachef.reward.metrics import metric_for
from datachef.reward.score_kinds import (
    ACCURACY,
    BITS_SAVED,
    CHOICE_PROBABILITY,
    PASS_RATE,
    SCORE_KINDS,
)

# Draws the items that are asked: the same whatever seed the model was trained with.
ASKED = 0
# An answer that is written is off its floor where the base model is right this far above 0.
FLOOR_ERRORS = 2
# Examples that settings are chosen by, at most, and the fewest that are enough.
EXAMPLES, FEWEST_EXAMPLES = 32, 16


class Scoring(BaseModel):
    """What is scored, for one base model and one task: see `score_kinds`.

    `form` is how options are written, None where there are none. `base_scores` are all metrics of
    the untrained base model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score_name: str
    form: str | None = None
    chance: float
    base: float
    ceiling: float = 1.0
    base_scores: dict[str, float]


@dataclass(frozen=True)
class TaskScorer:
    """Asks checkpoints the questions of a task: at most `items` of them, None for all.

    `accuracy` also scores answers with lm-evaluation-harness, which writes into `folder`. Windows
    and numbers are those of `training`.
    """

    task: Task
    items: int | None
    accuracy: bool
    allow_code: AllowCode
    training: Training
    folder: Path

    def decide(self, base_model: str | Path) -> Scoring:
        """How the task is scored for a base model, which it measures.

        Options are scored in the form in which the base model finds the right one more probable.
        Answers that are written are scored as right or wrong where the base model is off its floor,
        more than two standard errors above 0, and else by their bits.
        """
        model = self._load(base_model)
        scores = self._bits(model)
        if self._forms:
            each = {form: choice_scores(model, asked) for form, asked in self._forms.items()}
            form = max(each, key=lambda name: each[name][CHOICE_PROBABILITY])
            scores |= each[form]
            return Scoring(
                score_name=CHOICE_PROBABILITY,
                form=form,
                chance=choice_chance(self._forms[form]),
                base=scores[CHOICE_PROBABILITY],
                base_scores=scores,
            )
        scores |= self._answers(base_model)
        value = scores.get(self.task.metric, 0.0)
        error = scores.get(f"{self.task.metric}_stderr", 0.0)
        off_floor = value > FLOOR_ERRORS * error
        right = PASS_RATE if metric_of(self.task).runs_code else ACCURACY
        name = right if off_floor else BITS_SAVED
        scores = self._named(scores, name)
        return Scoring(
            score_name=name,
            chance=SCORE_KINDS[name].chance or 0.0,
            base=scores[name],
            base_scores=scores,
        )

    def measure(self, checkpoint: Path, scoring: Scoring) -> dict[str, float]:
        """All metrics of a checkpoint; that of the score is `scoring.score_name`.

        "bits_per_byte" of the gold answers and "bits_saved", with their "_stderr" over items; for
        options those of `choice_scores`; and, where accuracy was asked for, the task's metric.
        """
        model = self._load(checkpoint)
        scores = self._bits(model)
        if scoring.form is not None:
            scores |= choice_scores(model, self._forms[scoring.form])
        del model
        return self._named(scores | self._answers(checkpoint), scoring.score_name)

    def example_loss(self, scoring: Scoring) -> ExampleLoss | None:
        """What settings of training are chosen by: the loss on the examples of the task.

        The mean bits of the right option among the options where examples have some; otherwise the
        bits per byte of their answers. None without enough examples.
        """
        examples = self._examples
        texts = [item.prompt for item in examples]
        if len(examples) < FEWEST_EXAMPLES:
            return None
        if scoring.form is not None:
            metric = metric_for(self.task, allow_code=self.allow_code)
            asked = example_questions(examples, scoring.form, self._labels, metric)
            if len(asked) >= FEWEST_EXAMPLES:
                return ExampleLoss(lambda model: choice_losses(model, asked), texts)
        pairs = [(item.prompt, item.answer) for item in examples]
        return ExampleLoss(lambda model: model.answer_bits(pairs).losses, texts)

    def _load(self, checkpoint: str | Path) -> AnswerModel:
        settings = self.training
        return AnswerModel.load(checkpoint, max_length=settings.max_length, dtype=settings.dtype)

    @cached_property
    def _examples(self) -> list[BenchmarkItem]:
        """The examples that settings are chosen by."""
        if self.task.examples is None:
            return []
        found = [item for item in read_benchmark(self.task.examples) if item.answer.strip()]
        return random.Random(ASKED).sample(found, min(EXAMPLES, len(found)))

    def _bits(self, model: AnswerModel) -> dict[str, float]:
        pairs = [(item.prompt, item.answer) for item in self._gold]
        measured = model.answer_bits(pairs)
        (bits, bits_error), (saved, saved_error) = measured.per_byte, measured.saved
        found = {
            "bits_per_byte": bits,
            "bits_per_byte_stderr": bits_error,
            BITS_SAVED: saved,
            f"{BITS_SAVED}_stderr": saved_error,
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _answers(self, checkpoint: str | Path) -> dict[str, float]:
        if not self.accuracy:
            return {}
        from datachef.reward.evaluation.harness import run_harness

        return run_harness(
            checkpoint,
            self.task,
            limit=self.items,
            seed=ASKED,
            folder=self.folder,
            allow_code=self.allow_code,
        )

    def _named(self, scores: Mapping[str, float], name: str) -> dict[str, float]:
        """The metrics, with that of the task under the name of the score where it is the score."""
        found = dict(scores)
        for end in ("", "_stderr"):
            if name in (ACCURACY, PASS_RATE) and f"{self.task.metric}{end}" in found:
                found[f"{name}{end}"] = found[f"{self.task.metric}{end}"]
        return found

    @cached_property
    def _gold(self) -> list[BenchmarkItem]:
        return drawn(gold_items(self.task), self.items, ASKED)

    @cached_property
    def _forms(self) -> dict[str, list[OptionQuestion]]:
        """The questions in each form of their options; empty where answers are written."""
        known = self._choices
        if not known:
            return {}
        items = [item for item, _ in known]
        metric = metric_for(self.task, allow_code=self.allow_code)
        forms = question_forms(items, [choices for _, choices in known], metric)
        asked = drawn(items, self.items, ASKED)
        places = {id(item): place for place, item in enumerate(items)}
        return {
            form: [questions[places[id(item)]] for item in asked]
            for form, questions in forms.items()
        }

    @cached_property
    def _choices(self) -> list[tuple[BenchmarkItem, Choices]]:
        """All items with an answer and what competes for them."""
        assert isinstance(self.task.benchmark, BenchmarkFile)
        items = [item for item in read_benchmark(self.task.benchmark) if item.answer.strip()]
        found = metric_of(self.task).choices(items) if items else []
        return [(i, c) for i, c in zip(items, found, strict=True) if c is not None]

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        """What competes for all items, where they have that in common."""
        return self._choices[0][1].texts if LABEL_FORM in self._forms else ()


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
