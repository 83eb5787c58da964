"""The contract of an engine, which carries out independent work items and survives trouble."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self


@dataclass(frozen=True)
class WorkerConfig:
    """What a process needs to carry out work items: the cache, and plugin files besides packages.

    A worker that makes no progress for `stall_limit` seconds is ended; None waits for ever.
    `run` names the run, for what holds for it alone.
    """

    plugin_files: tuple[str, ...]
    cache: Path
    stall_limit: float | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)


class WorkItem(Protocol):
    """A piece of a run that can be done anywhere, at any time, beside all others it is given with.

    `label` names it for people, `size` is the bytes that it reads.
    """

    @property
    def label(self) -> str: ...

    @property
    def size(self) -> int: ...

    def to_data(self) -> dict[str, Any]:
        """This item as JSON-ready data."""


# Called with the label of an item, and the bytes read and rows passed since the last call.
Progress = Callable[[str, int, int], None]
# Called with the label of an item, the seconds without progress, and where it stands, in words.
OnStall = Callable[[str, float, str], None]


class Engine(ABC):
    """Carries out work items, in any order and anywhere that the cache can be reached.

    A worker calls `TaskExecutor.perform` with an item, which leaves its result in the cache; order,
    barriers and accounts are not the engine's business. An engine that notices an item without
    progress calls `on_stall`.
    """

    on_stall: OnStall | None = None

    @abstractmethod
    def __init__(self, config: WorkerConfig, workers: int) -> None: ...

    @abstractmethod
    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (index of the item, its record) as items finish.

        Raises `RunError` naming the item that could not be carried out, without waiting for the
        others.
        """

    def close(self) -> None:  # noqa: B027 - not every engine holds something
        """Ends workers and gives back what they held; also called after a failure."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
