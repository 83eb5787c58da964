"""Keeps items of the benchmark out of the prompt: pools and training splits may hold some."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datachef.core.benchmark import read_benchmark
from datachef.core.task import BenchmarkFile, Task

# A part of an item tells it from other texts only when it is longer than a phrase.
PART_CHARACTERS = 40

_WORD = re.compile(r"\w+")


class BenchmarkGuard:
    """Tells texts that hold a question of the benchmark, or are a part of one, whatever their case,
    spacing and punctuation. A benchmark that is only named has no questions here."""

    def __init__(self, task: Task) -> None:
        """Raises `DatachefError` where the benchmark cannot be read."""
        benchmark = task.benchmark
        items = read_benchmark(benchmark) if isinstance(benchmark, BenchmarkFile) else []
        questions = {_words(item.prompt) for item in items}
        self._questions = sorted(question for question in questions if question.strip())
        self._all = "\n".join(self._questions)

    def refuses(self, texts: Iterable[str]) -> bool:
        """Whether some of these texts, or all of them one after the other, are not to be shown."""
        parts = [_words(text) for text in texts]
        cut = [part.strip() for part in parts]  # perhaps in the middle of a word
        if any(len(part) >= PART_CHARACTERS and part in self._all for part in cut):
            return True
        whole = _words(" ".join(parts))
        return any(question in whole for question in self._questions)


def _words(text: str) -> str:
    """The words between single spaces, with one at either end, so that words are found whole."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
