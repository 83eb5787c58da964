"""The contract of an engine: something that carries out independent tasks and survives trouble."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from datachef.core.run.stage import Task


@dataclass(frozen=True)
class WorkerConfig:
    """What a process needs to carry tasks out: the cache, and plugin files besides packages.

    A worker that makes no progress for `stall_limit` seconds is ended; None waits for ever.
    `run` names the run, for what holds for it alone.
    """

    plugin_files: tuple[str, ...]
    cache: Path
    stall_limit: float | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)


Progress = Callable[[str, int, int], None]
OnStall = Callable[[str, float, str], None]


class Engine(ABC):
    """Carries out tasks, in any order and anywhere that the cache can be reached.

    A task is plain data (`stage.to_data`) for `TaskExecutor.perform`, which leaves its result in
    the cache under the task's key. Order, barriers and accounts are not the engine's business.

    An engine that notices a task without progress calls `on_stall(label, seconds, words)`.
    """

    on_stall: OnStall | None = None

    @abstractmethod
    def __init__(self, setting: WorkerConfig, workers: int) -> None: ...

    @abstractmethod
    def map(
        self, tasks: Sequence[Task], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (index of the task, its record) as tasks finish.

        `progress(label, bytes, rows)` is called with what was done since the last call. Raises
        the `DatachefError` that ended a task, naming it, without waiting for the others: of the
        kind that it was where it was raised, and `RunError` where a worker was lost.
        """

    def close(self) -> None:  # noqa: B027 - not every engine holds something
        """Ends workers and gives back what they held; also called after a failure."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
