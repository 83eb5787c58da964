"""Progress of long work, told to whoever asked for it through all that lies between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

OnDoing = Callable[[str], None]

_LISTENER: ContextVar[OnDoing | None] = ContextVar("_LISTENER", default=None)
# Seconds between two reports of steps.
EVERY = 5.0


@contextmanager
def progress_to(on_doing: OnDoing) -> Iterator[None]:
    """Within, `tell` calls `on_doing`, which gets in words what is being done."""
    token = _LISTENER.set(on_doing)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(doing: str) -> None:
    """Says what is being done now, if anybody asked."""
    if (listener := _LISTENER.get()) is not None:
        listener(doing)


class StepProgress:
    """Tells how many steps are done and, after the first, how long the others will take; not more
    often than every few seconds."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._began = self._told = time.monotonic()

    def done(self, step: int, steps: int) -> None:
        """`step` of `steps` steps are done."""
        now = time.monotonic()
        if step < 1 or (now - self._told < EVERY and step != 1):
            return
        self._told = now
        left = (now - self._began) / step * (steps - step)
        tell(f"{self._doing}, step {step} of {steps}, {left:.0f} s left")
