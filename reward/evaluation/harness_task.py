"""A benchmark file as a task of lm-evaluation-harness, judged by our checkers.

The task is an object that lives in memory: no YAML, no data set on disk, no code by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics import AllowCode, Metric, make_metric
from datachef.reward.metrics.matching import (
    LETTERS,
    gold_is_yes,
    gold_place,
    normalised,
    option_texts,
)

# The tokens that an answer may take where it is written and not chosen.
ANSWER_TOKENS = {
    "exact_match": 64,
    "number_match": 512,
    "number_tolerance": 512,
    "math_match": 1024,
    "unit_tests": 512,
}
# Where a model without a chat template starts another question of its own.
ENDS = ("\n\nQuestion:", "\n\nProblem:", "\n\n\n")


def harness_package(module: str) -> Any:
    """A module of lm-evaluation-harness; `MissingPackageError` without it."""
    try:
        return import_module(module)
    except ImportError as error:
        missing = (error.name or module).partition(".")[0]
        raise MissingPackageError(missing, extra("evaluate"), "measuring accuracy") from error


@dataclass(frozen=True)
class Choices:
    """The continuations that compete for an item; `by_byte` divides each by its length."""

    texts: tuple[str, ...]
    by_byte: bool = False


@dataclass
class LocalTask:
    """The items of a task with a benchmark file; `answers` fills up as a model is judged.

    Metrics with a closed set of answers are measured by likelihood, the others by generation:
    `multiple_choice` compares letters where the prompt lists the options and else the texts of the
    options per byte, `label` the choices of the item or else all labels of the benchmark, `yes_no`
    the two words that the benchmark uses. Of equally likely choices the first counts.
    """

    task: Task
    items: Sequence[BenchmarkItem]
    metric: Metric
    choices: Sequence[Choices | None]
    answers: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, task: Task, items: Sequence[BenchmarkItem], *, allow_code: AllowCode) -> LocalTask:
        """Raises `DatachefError` where code is not allowed and where gold answers do not fit."""
        assert isinstance(task.benchmark, BenchmarkFile)
        metric = make_metric(task.metric, allow_code=allow_code, program=task.benchmark.program)
        return cls(task, items, metric, choices_of(task.metric, items))

    def harness_task(self, answer_tokens: int, *, chat: bool) -> Any:
        """A `ConfigurableTask` over the items in their order, without examples in the prompt."""
        datasets = harness_package("datasets")
        docs = [
            {"number": number, "prompt": item.prompt, "gold": item.answer, "choices": list(texts)}
            for number, (item, texts) in enumerate(zip(self.items, self._texts(), strict=True))
        ]
        generated = self.choices[0] is None
        tokens = min(ANSWER_TOKENS.get(self.task.metric, answer_tokens), answer_tokens)
        generation = {"until": [] if chat else list(ENDS), "do_sample": False}

        # lm-eval copies its configuration, which a function survives and a bound method does not.
        def judged(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
            return {self.task.metric: float(self._judge(doc["number"], results))}

        config = {
            "task": self.task.name,
            "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(docs)},
            "test_split": "test",
            "output_type": "generate_until" if generated else "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_target": "gold",
            "doc_to_choice": None if generated else "choices",
            "generation_kwargs": generation | {"max_gen_toks": tokens} if generated else None,
            "process_results": judged,
            "metric_list": [
                {"metric": self.task.metric, "aggregation": "mean", "higher_is_better": True}
            ],
            "num_fewshot": 0,
        }
        return harness_package("lm_eval.api.task").ConfigurableTask(config=config)

    def _texts(self) -> list[tuple[str, ...]]:
        return [() if choices is None else choices.texts for choices in self.choices]

    def _judge(self, number: int, results: list[Any]) -> bool:
        item, choices = self.items[number], self.choices[number]
        answer: dict[str, Any] = {"prompt": item.prompt, "gold": item.answer}
        if choices is None:
            response = str(results[0])
        else:
            likelihoods = [float(likelihood) for likelihood, _ in results]
            scores = [
                likelihood / len(text.encode()) if choices.by_byte else likelihood
                for likelihood, text in zip(likelihoods, choices.texts, strict=True)
            ]
            response = choices.texts[scores.index(max(scores))]
            answer["log_likelihoods"] = dict(zip(choices.texts, likelihoods, strict=True))
        correct = self.metric.score(response, item) == 1
        self.answers.append({**answer, "response": response, "correct": correct})
        return correct


def choices_of(metric: str, items: Sequence[BenchmarkItem]) -> list[Choices | None]:
    """The competing continuations of every item; None for a metric that reads what is written.

    Raises `DatachefError` where a gold answer is none of them.
    """
    if metric == "multiple_choice":
        most = 1 + max(gold_place(item) for item in items)
        return [_letters_or_texts(item, most) for item in items]
    if metric == "yes_no":
        return [Choices(_words(items))] * len(items)
    if metric == "label":
        labels = tuple(sorted({item.answer.strip() for item in items}))
        return [_labels(item, item.choices or labels) for item in items]
    return [None] * len(items)


def _letters_or_texts(item: BenchmarkItem, most: int) -> Choices:
    texts = option_texts(item)
    if all(text in item.prompt for text in texts):
        return Choices(tuple(LETTERS[: len(texts) or most]))
    return Choices(texts, by_byte=True)


def _words(items: Sequence[BenchmarkItem]) -> tuple[str, str]:
    """How the benchmark writes yes and no: most often, and else in the words themselves."""
    seen = Counter(item.answer.strip() for item in items)
    words = []
    for meaning, default in ((True, "yes"), (False, "no")):
        written = [item.answer.strip() for item in items if gold_is_yes(item) is meaning]
        words.append(min(written, key=lambda word: (-seen[word], word), default=default))
    return words[0], words[1]


def _labels(item: BenchmarkItem, labels: tuple[str, ...]) -> Choices:
    if normalised(item.answer) not in map(normalised, labels):
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} is no choice of its item",
            hint=f"the choices are {', '.join(labels)[:200]}",
        )
    return Choices(labels)
