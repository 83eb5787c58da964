"""The engine that carries out work items in the calling process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from datachef.core.contracts.engine import Engine, Progress, WorkerConfig, WorkItem
from datachef.core.registry.host import Host
from datachef.core.run.executor import TaskExecutor
from datachef.core.run.signal_cache import TextMemory
from datachef.core.run.store import Store


class InlineEngine(Engine):
    """Carries out work items in the calling process, one by one: for small runs and debuggers.

    With a `store` results go there, and signals stay in memory: for recipes that are tried in
    series.
    """

    def __init__(
        self, config: WorkerConfig, workers: int = 1, *, store: Store | None = None
    ) -> None:
        texts = TextMemory() if store is not None else None
        store = store or Store(config.cache, config.run)
        self._executor = TaskExecutor(Host(config.plugin_files), config.cache, store, texts)

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, item in enumerate(items):
            yield index, self._executor.perform(item, partial(progress, item.label))
