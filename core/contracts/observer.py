"""Observers of a run, and the events that they are told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datachef.core.problems import Problem


@dataclass(frozen=True)
class RunStarted:
    """A run begins: the name of its recipe, the folder of its corpus, and how many partitions and
    decisions it consists of."""

    recipe: str
    folder: Path
    partitions: int


@dataclass(frozen=True)
class PhaseStarted:
    """Partitions that are worked on in parallel begin; `total_bytes` is what they read."""

    title: str
    total_bytes: int


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
class PartitionFinished:
    """A partition is done; `size` is the bytes that it read."""

    label: str
    size: int


@dataclass(frozen=True)
class RunFinished:
    """The corpus is in place; `partitions_cached` of `partitions` were in the cache already."""

    folder: Path
    rows: int
    tokens: int
    seconds: float
    partitions: int
    partitions_cached: int
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class RunFailed:
    """The run ends without a corpus; what is done stays in the cache."""

    error: BaseException


RunEvent = (
    RunStarted
    | PhaseStarted
    | Progressed
    | PartitionStalled
    | PartitionFinished
    | RunFinished
    | RunFailed
)


class RunObserver:
    """Override what you care about; every method is called in the process that started the run."""

    def run_started(self, event: RunStarted) -> None:
        """Before the first partition."""

    def phase_started(self, event: PhaseStarted) -> None:
        """Before partitions that are worked on in parallel."""

    def progressed(self, event: Progressed) -> None:
        """While a partition is worked on."""

    def partition_stalled(self, event: PartitionStalled) -> None:
        """While a partition makes no progress."""

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
    PartitionFinished: "partition_finished",
    RunFinished: "run_finished",
    RunFailed: "run_failed",
}
