"""What every checker is: a judge of one response against one gold answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.text import after_thinking


class Checker(ABC):
    """Tells whether a response answers an item; the same inputs give the same verdict."""

    def correct(self, response: str, item: BenchmarkItem) -> bool:
        """True where `response`, without the reasoning in `<think>` tags, is right.

        Raises `DatachefError` where the item itself cannot be judged by this metric.
        """
        return self._accepts(after_thinking(response), item)

    @abstractmethod
    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        """The verdict on a response without its reasoning."""


def golds(item: BenchmarkItem) -> Iterator[str]:
    """The answers that an item accepts: the whole answer, and each of its lines."""
    yield item.answer
    lines = [line for line in item.answer.splitlines() if line.strip()]
    if len(lines) > 1:
        yield from lines
