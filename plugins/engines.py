"""The engines we register."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datachef.core import Engine, WorkerConfig, hookimpl


@hookimpl
def datachef_engines() -> Mapping[str, Callable[..., Engine]]:
    return {"inline": _inline, "local": _local}


def _inline(config: WorkerConfig, workers: int) -> Engine:
    from datachef.core.run.executor import InlineEngine

    return InlineEngine(config, workers)


def _local(config: WorkerConfig, workers: int) -> Engine:
    # What is slow to import the workers import first, all at the same time.
    from datachef.core.run.local import LocalEngine

    return LocalEngine(config, workers)
