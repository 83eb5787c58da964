"""How models are loaded and run where their results have to be the same everywhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
# Characters of a token, on average over many, at the very most.
_LONGEST_TOKEN = 64


class ResultMemory(Generic[Result]):
    """The latest results of a model, by the content that it read: steps ask for those of the same
    rows again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Result] = OrderedDict()

    def get(self, content: bytes, compute: Callable[[], Result]) -> Result:
        """What is remembered of a content, or is computed now."""
        key = blake2b(content, digest_size=16).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        result = compute()
        if len(self._known) >= self._most:
            self._known.popitem(last=False)
        self._known[key] = result
        return result


def leading_text(text: str, tokens: int) -> str:
    """As much of a text as its first tokens can take: what lies behind need not be tokenized."""
    return text[: tokens * _LONGEST_TOKEN]


@contextmanager
def single_thread() -> Iterator[None]:
    """Within it torch computes in one thread, and without gradients.

    Threads share the work in parts that depend on their number, and sums of other parts round
    otherwise: how many cores a machine has should change nothing. Workers use the other cores.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Within it transformers draws no bars and tells of errors alone."""
    from transformers.utils import logging

    notices: Any = logging
    bars, verbosity = notices.is_progress_bar_enabled(), notices.get_verbosity()
    notices.disable_progress_bar()
    notices.set_verbosity_error()
    try:
        yield
    finally:
        notices.set_verbosity(verbosity)
        if bars:
            notices.enable_progress_bar()
