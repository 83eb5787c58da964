"""Bounds the processor time of every call of a row-wise step, so that no row can stop a run.

Compiled code cannot be interrupted from Python, so the timer is the kernel's, and what it ends is
the whole worker. The engine starts another one and names the call that did not end: there the rows
of that call are taken one by one, and a row that exceeds the limit alone has failed.

Processor time is counted, not time on the clock: what waits for a server or for a busy machine is
not late. The limit still depends on the machine, and is a last resort.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datachef.core.errors import DatachefError

# The reason of rows that exceed the limit alone.
TIME_LIMIT = "time_limit"
VARIABLE = "DATACHEF_CALL_SECONDS"
DEFAULT_SECONDS = 120.0
# What the kernel sends when the time is used up; a process that does nothing about it ends.
SIGNAL = signal.SIGPROF


class Call(NamedTuple):
    """A call of the step at `path` with rows of which the first has the id `row`; `alone` where it
    is the only one."""

    path: str
    row: str
    alone: bool


@dataclass
class Overdue:
    """The calls that did not end in time: `batches` and `steps` go row by row, `rows` not at all.

    A step that is late with two batches of a partition goes row by row in all of it.
    """

    batches: set[tuple[str, str]] = field(default_factory=set)
    steps: set[str] = field(default_factory=set)
    rows: set[tuple[str, str]] = field(default_factory=set)

    def add(self, call: Call) -> None:
        place = (call.path, call.row)
        if call.alone:
            self.rows.add(place)
            return
        if any(path == call.path for path, _ in self.batches - {place}):
            self.steps.add(call.path)
        self.batches.add(place)

    def slow(self) -> set[str]:
        """The steps that were late with a batch and with none of its rows: slow, and not stuck."""
        late = self.steps | {path for path, _ in self.batches}
        return late - {path for path, _ in self.rows}

    def to_data(self) -> dict[str, Any]:
        """The same as JSON-ready data."""
        return {name: sorted(getattr(self, name)) for name in ("batches", "steps", "rows")}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Overdue:
        return cls(
            {(path, row) for path, row in data["batches"]},
            set(data["steps"]),
            {(path, row) for path, row in data["rows"]},
        )


class TimeLimit:
    """The limit for calls in this process, in seconds of processor time; none where it is None.

    `begun` is called with every call before it is made: when the process is ended, the last of them
    was under way.
    """

    def __init__(
        self,
        seconds: float | None = None,
        overdue: Overdue | None = None,
        begun: Callable[[Call], None] | None = None,
    ) -> None:
        self._seconds = seconds
        self._overdue = overdue or Overdue()
        self._begun = begun
        if seconds is not None:
            signal.signal(SIGNAL, signal.SIG_DFL)

    def goes_row_by_row(self, path: str, row: str) -> bool:
        """Whether a batch that begins with this row was not done in time before."""
        return path in self._overdue.steps or (path, row) in self._overdue.batches

    def is_exceeded_by(self, path: str, row: str) -> bool:
        """Whether this row alone was not done in time before."""
        return (path, row) in self._overdue.rows

    @property
    def detail(self) -> str:
        """Why a row that exceeds the limit has failed."""
        return f"it takes more than {self._seconds:g} seconds of processor time"

    @contextmanager
    def bounded(self, call: Call) -> Iterator[None]:
        """Ends this process, by `SIGNAL`, when what is done within takes longer than the limit."""
        if self._seconds is None:
            yield
            return
        if self._begun is not None:
            self._begun(call)
        signal.setitimer(signal.ITIMER_PROF, self._seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


NO_LIMIT = TimeLimit()


def seconds_allowed() -> float | None:
    """The limit that the environment sets; None where it sets 0. Raises `DatachefError`."""
    said = os.environ.get(VARIABLE, "")
    try:
        seconds = float(said) if said else DEFAULT_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise DatachefError(
            f"{VARIABLE} is {said[:40]!r}, which is no number of seconds",
            f"such as {DEFAULT_SECONDS:g}; 0 for no limit",
        )
    return seconds or None
