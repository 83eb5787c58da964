"""How far a run is: its events added up, for whoever shows or keeps that."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from datachef.core.contracts.engine import (
    METHODS,
    PartitionFinished,
    PartitionRetried,
    PartitionStalled,
    PhaseStarted,
    Progressed,
    RunEvent,
    RunFailed,
    RunFinished,
    RunObserver,
    RunStarted,
)
from datachef.core.errors import DatachefError, RunError, words_of
from datachef.core.system.progress import EVERY

State = Literal["running", "finished", "failed", "interrupted"]


@dataclass
class ProgressTracker:
    """The state of a run after the events that were added.

    `partitions` and `done` are of the whole run, what has `phase` in its name is of what is worked
    on now. `rows` counts those that steps have passed in this phase, `failed_rows` those of the run
    that could not be processed, `retried` the partitions that were begun again. `stalled` says of
    partitions without progress where they stand. `seconds` and `phase_seconds` are since the
    beginning of both.
    """

    run: str = ""
    recipe: str = ""
    folder: str = ""
    state: State = "running"
    partitions: int = 0
    done: int = 0
    phase: str = ""
    phase_partitions: int = 0
    phase_done: int = 0
    phase_bytes: int = 0
    phase_total_bytes: int = 0
    rows: int = 0
    failed_rows: int = 0
    retried: int = 0
    stalled: dict[str, str] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _phase_began: float = field(default_factory=time.monotonic)
    _within: dict[str, int] = field(default_factory=dict)
    _finished_bytes: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def phase_seconds(self) -> float:
        return time.monotonic() - self._phase_began

    @property
    def rows_per_second(self) -> float:
        """The speed in this phase."""
        return self.rows / max(self.phase_seconds, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """How long this phase will go on at its speed; None where nothing can be told yet."""
        if not self.phase_bytes or not self.phase_total_bytes:
            return None
        left = max(0, self.phase_total_bytes - self.phase_bytes)
        return self.phase_seconds / self.phase_bytes * left

    def add(self, event: RunEvent) -> None:
        match event:
            case RunStarted():
                self.run, self.recipe = event.run, event.recipe
                self.folder = event.url or str(event.folder)
                self.partitions = event.partitions
            case PhaseStarted():
                self._phase_began = time.monotonic()
                self.phase, self.phase_partitions = event.title, event.partitions
                self.phase_total_bytes, self.done = event.total_bytes, event.done
                self.phase_done = self.rows = self._finished_bytes = 0
                self._within.clear()
            case Progressed():
                self._within[event.label] = self._within.get(event.label, 0) + event.bytes
                self.rows += event.rows
                self.stalled.pop(event.label, None)
            case PartitionStalled():
                self.stalled[event.label] = event.where
            case PartitionRetried():
                self.retried += 1
                self._within.pop(event.label, None)
            case PartitionFinished():
                self._within.pop(event.label, None)
                self.stalled.pop(event.label, None)
                self._finished_bytes += event.size
                self.phase_done += 1
                self.done = min(self.done + 1, self.partitions)
                self.failed_rows += event.failed
            case RunFinished():
                self.state, self.result = "finished", _plain(event)
            case RunFailed():
                self.error = error_data(event.error)
                interrupted = isinstance(event.error, KeyboardInterrupt)
                self.state = "interrupted" if interrupted else "failed"
        self.phase_bytes = self._finished_bytes + sum(self._within.values())

    def to_data(self) -> dict[str, Any]:
        """The state as JSON-ready data."""
        data = {name: value for name, value in asdict(self).items() if name[0] != "_"}
        left = self.seconds_left
        return data | {
            "seconds": round(self.seconds, 1),
            "rows_per_second": round(self.rows_per_second, 1),
            "seconds_left": None if left is None else round(left, 1),
        }


def error_data(error: BaseException) -> dict[str, Any]:
    """An error as JSON-ready data."""
    if isinstance(error, KeyboardInterrupt):
        told = DatachefError("interrupted", "run the same command to continue")
        told.exit_code = 130
    else:
        told = error if isinstance(error, DatachefError) else DatachefError(words_of(error))
    return {
        "kind": type(error).__name__,
        "message": told.message,
        "hint": told.hint,
        "exit_code": told.exit_code,
    }


def event_data(event: RunEvent) -> dict[str, Any]:
    """An event as JSON-ready data, named as the method of observers that it is for."""
    return {"event": METHODS[type(event)], **_plain(event)}


def _plain(event: RunEvent) -> dict[str, Any]:
    if isinstance(event, RunFailed):
        return {"error": error_data(event.error)}
    data: Mapping[str, Any] = vars(event)
    if isinstance(event, RunFinished):
        data = {**data, "warnings": [problem.to_data() for problem in event.warnings]}
    return {**data, "folder": str(data["folder"])} if "folder" in data else dict(data)


class PeriodicObserver(RunObserver):
    """Shows how far a run is: `show` gets that, as `ProgressTracker.to_data` gives it, when the run
    begins, every few seconds, also while nothing happens, and when it ends.

    A failure of the system in `show` ends the run when it begins: a file that cannot be written.
    Later `show` is tried again the next time.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._progress = ProgressTracker()
        self._adding, self._showing = threading.Lock(), threading.Lock()
        self._over = threading.Event()

    def observe(self, event: RunEvent) -> None:
        with self._adding:
            self._progress.add(event)
        if isinstance(event, RunStarted):
            self.show(self._progress.to_data())
            threading.Thread(target=self._show_again, daemon=True).start()
        elif isinstance(event, RunFinished | RunFailed):
            self._over.set()
            with self._showing, suppress(OSError, RunError):
                self.show(self._progress.to_data())

    def show(self, progress: Mapping[str, Any]) -> None:
        """Shows the state of the run."""

    def _show_again(self) -> None:
        while not self._over.wait(self._every):
            with self._showing, suppress(OSError, RunError):
                if not self._over.is_set():
                    self.show(self._now())

    def _now(self) -> dict[str, Any]:
        with self._adding:
            return self._progress.to_data()
