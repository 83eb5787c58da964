"""Which of several things to show, where a few of them must do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T]) -> Iterator[T]:
    """The first one, the one in the middle, and the others in case these cannot be shown."""
    middle = (0, len(items) // 2) if items else ()
    yield from (items[index] for index in dict.fromkeys((*middle, *range(len(items)))))
