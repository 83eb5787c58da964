"""The contract of a metric: how the answer to a question of a benchmark is scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

# What an answer is, for whoever brings training data into its form.
AnswerKind = Literal["text", "option", "number", "yes_no", "label", "code"]
# How an answer becomes a program where nothing else is said, see `BenchmarkFile.program`.
PROGRAM = "{answer}\n{tests}"
# Whether a model's code may be run: never, confined, or even where this system has none.
AllowCode = bool | Literal["unconfined"]


@dataclass(frozen=True)
class BenchmarkItem:
    """A question with its gold answer; several accepted answers stand one per line.

    `choices` are the options in their order, where there are any; `row` is all that the file says
    of the item, such as unit tests.
    """

    prompt: str
    answer: str
    choices: tuple[str, ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """The continuations that compete for an item; `by_byte` divides each by its length."""

    texts: tuple[str, ...]
    by_byte: bool = False


class Metric(ABC):
    """Scores responses against the gold answers of items; the same inputs give the same score.

    `name` is what a task file says as `metric`. `criterion` says when an answer is right, for
    models that write or judge training data. A metric with `runs_code` runs what a model wrote,
    which the user has to allow; one without `needs_gold` asks items that have no gold answer, such
    as those with unit tests. An answer is of an `answer_kind`, by which operators that adapt
    training data to a task go; one that is written may take `answer_tokens`.
    """

    name: ClassVar[str] = ""
    criterion: ClassVar[str] = ""
    runs_code: ClassVar[bool] = False
    needs_gold: ClassVar[bool] = True
    answer_kind: ClassVar[AnswerKind] = "text"
    answer_tokens: ClassVar[int] = 512

    @classmethod
    def build(cls, *, program: str = PROGRAM, allow_code: AllowCode = False) -> Metric:
        """The metric, ready to score. `program` is that of the benchmark; both are for metrics that
        run code.

        Raises `DatachefError` for code that is not allowed or cannot be confined, and
        `MissingPackageError` where a package is not there.
        """
        return cls()

    @abstractmethod
    def score(self, response: str, item: BenchmarkItem) -> float:
        """From 0, wrong, to 1, right, for all that a model wrote, its reasoning included.

        Raises `DatachefError` where the item itself cannot be judged by this metric.
        """
        raise NotImplementedError

    @classmethod
    def choices(cls, items: Sequence[BenchmarkItem]) -> Sequence[Choices | None]:
        """Of each item the answers of which a model is to find one the likeliest; None, for all of
        them, where a model writes its answer.

        Raises `DatachefError` where a gold answer is none of them.
        """
        return [None] * len(items)
