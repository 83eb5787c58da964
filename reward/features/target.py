"""What the task's training split looks like, for comparing corpora with it."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core.contracts.task import Task
from datachef.core.rows.benchmark import BenchmarkItem, read_benchmark
from datachef.reward.features.grams import gram_counts
from datachef.reward.features.language_model import TargetModel
from datachef.reward.features.languages import languages_of

ITEMS = 200
SHAPE_CHARACTERS = 24

_SHAPES = ((re.compile(r"[^\W\d_]+"), "a"), (re.compile(r"\d+"), "0"), (re.compile(r"\s+"), " "))


@dataclass(frozen=True)
class Target:
    """Up to `ITEMS` examples of the task, drawn by the seed."""

    items: tuple[BenchmarkItem, ...]

    @classmethod
    def of(cls, task: Task, seed: int) -> Target | None:
        """The examples of a task, or None where it names none. Raises `DatachefError`."""
        if task.examples is None:
            return None
        items = [item for item in read_benchmark(task.examples) if item.answer]
        if len(items) > ITEMS:
            items = random.Random(seed).sample(items, ITEMS)
        return cls(tuple(items)) if items else None

    @cached_property
    def texts(self) -> pl.DataFrame:
        """`question` and `answer` of each example."""
        return pl.DataFrame(
            {"question": [i.prompt for i in self.items], "answer": [i.answer for i in self.items]}
        )

    @cached_property
    def model(self) -> TargetModel:
        return TargetModel(self.items)

    @cached_property
    def grams(self) -> NDArray[np.float64]:
        """Counts of hashed word n-grams over all examples."""
        return np.asarray(gram_counts(self.texts).sum(axis=0), np.float64).ravel()

    @cached_property
    def language(self) -> str:
        """The language that most of the examples are in."""
        whole = self.texts.select(pl.concat_str("question", "answer", separator="\n").alias("text"))
        return Counter(languages_of(whole["text"])).most_common(1)[0][0]

    @cached_property
    def shapes(self) -> Counter[str]:
        return Counter(shape(item.answer) for item in self.items)

    @cached_property
    def median_log_chars(self) -> float:
        return float(np.median(np.log1p([len(item.answer) for item in self.items])))


def shape(answer: str) -> str:
    """The outline of an answer: runs of letters, digits and space as one character each, then how
    long it is by powers of two."""
    outline = answer[: 4 * SHAPE_CHARACTERS]
    for pattern, sign in _SHAPES:
        outline = pattern.sub(sign, outline)
    return f"{outline[:SHAPE_CHARACTERS]}|{len(answer).bit_length()}"
