"""A pool of processes that die with the one that made it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

from datachef.core.child_process import begin, from_lasting_thread, machine_memory

P = ParamSpec("P")
T = TypeVar("T")

_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
_SAFE_PATH = "PYTHONSAFEPATH"


class ProcessPool(ProcessPoolExecutor):
    """Fresh processes, each with one thread for sums: the processes are the parallelism.

    Like `start` of `child_process`, they are bound to the life of this process, bounded in memory,
    and do not have the working folder on their path. Functions must be importable.
    """

    def __init__(
        self, workers: int, initializer: Callable[..., object] | None = None, *arguments: Any
    ) -> None:
        super().__init__(
            workers,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(), initializer, arguments),
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Also where the processes are started, one by one as there is work."""
        return from_lasting_thread(partial(self._submit, fn, *args, **kwargs))

    def _submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        before = {name: os.environ.get(name) for name in (*_ONE_THREAD, _SAFE_PATH)}
        # Read when an interpreter and its libraries start, before any initializer could be called.
        os.environ.update({name: before[name] or "1" for name in before})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]


def _begin(parent: int, initializer: Callable[..., object] | None, arguments: Any) -> None:
    begin(parent, machine_memory())
    if initializer is not None:
        initializer(*arguments)
