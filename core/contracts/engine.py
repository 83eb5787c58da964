"""Engines, which carry out independent work items, and observers, which receive a run's events."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from datachef.core.errors import Problem

# Seconds without progress after which a worker is taken for stuck: rows come in batches that take
# minutes at most, and a decision over hundreds of millions of rows less than this.
STALL_LIMIT = 6 * 3600.0


@dataclass(frozen=True)
class WorkerConfig:
    """What a process needs to carry out work items: the cache, and plugin files besides packages.

    A worker that makes no progress for `stall_limit` seconds is ended; None waits for ever. It may
    allocate `memory` bytes; None is all that the machine has. `run` names the run, for what holds
    for it alone. Results are kept under the URL `remote`, where there is one: the cache then has
    what only this machine needs.
    """

    plugin_files: tuple[str, ...]
    cache: Path
    stall_limit: float | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    remote: str = ""
    memory: int | None = None


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
# Called with the label of an item that is begun again, and why, in words.
OnRetry = Callable[[str, str], None]


class Engine(ABC):
    """Carries out work items, in any order and anywhere that the cache can be reached.

    A worker calls `TaskExecutor.perform` with an item, which leaves its result in the cache; order,
    barriers and accounts are not the engine's business. An engine that notices an item without
    progress calls `on_stall`; one that begins an item again, as its worker was lost, calls
    `on_retry`.
    """

    on_stall: OnStall | None = None
    on_retry: OnRetry | None = None

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


@dataclass(frozen=True)
class RunStarted:
    """A run begins: the name of its recipe, the folder of its corpus, how many partitions and
    decisions it consists of, and the name of the run, which no other has. Of a corpus under a
    `url`, the folder has what lies beside the rows."""

    recipe: str
    folder: Path
    partitions: int
    run: str
    url: str = ""


@dataclass(frozen=True)
class PhaseStarted:
    """Partitions that are worked on in parallel begin; `total_bytes` is what they read.

    `partitions` is their number without those that were in the cache, `done` how many of the whole
    run are done by now, in the cache or not.
    """

    title: str
    total_bytes: int
    partitions: int
    done: int


@dataclass(frozen=True)
class Progressed:
    """A partition goes on: bytes read and rows passed since the last event."""

    label: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class PartitionStalled:
    """A partition has made no progress for `seconds`; sent again at ever longer intervals.

    `where` says in which step, and what its process does, or how the step goes on.
    """

    label: str
    seconds: float
    where: str


@dataclass(frozen=True)
class PartitionRetried:
    """A partition is begun again, since its worker was lost; `cause` says how, in words."""

    label: str
    cause: str


@dataclass(frozen=True)
class PartitionFinished:
    """A partition is done; `size` is the bytes that it read, `seconds` the time that it took.

    `steps` are the places in the recipe of the steps that were run on it, `rows` the rows that
    came in, and `failed` how many of them could not be processed.
    """

    label: str
    size: int
    seconds: float
    rows: int
    failed: int
    steps: tuple[str, ...]


@dataclass(frozen=True)
class RunFinished:
    """The corpus is in place; `partitions_cached` of `partitions` were in the cache already. Of one
    under a `url`, the folder has what lies beside the rows."""

    folder: Path
    rows: int
    tokens: int
    seconds: float
    partitions: int
    partitions_cached: int
    warnings: tuple[Problem, ...]
    url: str = ""


@dataclass(frozen=True)
class RunFailed:
    """The run ends without a corpus; what is done stays in the cache."""

    error: BaseException


RunEvent = (
    RunStarted
    | PhaseStarted
    | Progressed
    | PartitionStalled
    | PartitionRetried
    | PartitionFinished
    | RunFinished
    | RunFailed
)


class RunObserver:
    """Override what you care about; every method is called in the process that started the run.

    `observe` gets every event, and calls the method of its kind.
    """

    def observe(self, event: RunEvent) -> None:
        """At every event."""
        getattr(self, METHODS[type(event)])(event)

    def run_started(self, event: RunStarted) -> None:
        """Before the first partition."""

    def phase_started(self, event: PhaseStarted) -> None:
        """Before partitions that are worked on in parallel."""

    def progressed(self, event: Progressed) -> None:
        """While a partition is worked on."""

    def partition_stalled(self, event: PartitionStalled) -> None:
        """While a partition makes no progress."""

    def partition_retried(self, event: PartitionRetried) -> None:
        """Before a partition is begun again."""

    def partition_finished(self, event: PartitionFinished) -> None:
        """After a partition that was not in the cache."""

    def run_finished(self, event: RunFinished) -> None:
        """After the corpus is in place."""

    def run_failed(self, event: RunFailed) -> None:
        """When the run ends otherwise."""


# The method of an observer that is called with each kind of event.
METHODS: Mapping[type[RunEvent], str] = {
    RunStarted: "run_started",
    PhaseStarted: "phase_started",
    Progressed: "progressed",
    PartitionStalled: "partition_stalled",
    PartitionRetried: "partition_retried",
    PartitionFinished: "partition_finished",
    RunFinished: "run_finished",
    RunFailed: "run_failed",
}
