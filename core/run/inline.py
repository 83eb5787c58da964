"""The engine that carries tasks out in the calling process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from datachef.core.contracts.engine import Engine, Progress, WorkerConfig
from datachef.core.registry.host import Host
from datachef.core.run.executor import TaskExecutor
from datachef.core.run.signal_cache import TextMemory
from datachef.core.run.stage import Task
from datachef.core.run.store import Store


class InlineEngine(Engine):
    """Carries tasks out in the calling process, one by one: for small runs and debuggers.

    With a `store` results go there, and signals stay in memory: for recipes that are tried in
    series.
    """

    def __init__(
        self, setting: WorkerConfig, workers: int = 1, *, store: Store | None = None
    ) -> None:

        texts = TextMemory() if store is not None else None
        store = store or Store(setting.cache, setting.run)
        self._workshop = TaskExecutor(Host(setting.plugin_files), setting.cache, store, texts)

    def map(
        self, tasks: Sequence[Task], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, task in enumerate(tasks):
            yield index, self._workshop.perform(task, partial(progress, task.label))
