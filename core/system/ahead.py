"""Calls that mostly wait, such as for an object store, made several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 32


def ahead(calls: Iterable[Callable[[], T]], at_once: int = AT_ONCE) -> Iterator[T]:
    """What calls give, in their order; up to `at_once` are made before their result is taken."""
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
