"""What is told of a run on standard error: bytes, rows, speed, time left."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from datachef.core.cli.state import console, is_quiet, is_verbose
from datachef.core.contracts.engine import (
    PartitionFinished,
    PartitionRetried,
    PartitionStalled,
    PhaseStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunObserver,
    RunStarted,
)
from datachef.core.escaping import escape_output, one_line, raw_stream
from datachef.core.run.progress import PeriodicObserver, ProgressTracker


def observers() -> list[RunObserver]:
    """What is to be told of a run: nothing, each of its parts, or how far it is: in a bar where
    somebody looks, in lines elsewhere."""
    if is_quiet():
        return []
    if is_verbose():
        return [Notices(), Parts(), ProgressLines()]
    return [Notices(), ProgressBar() if raw_stream(sys.stderr).isatty() else ProgressLines()]


class Parts(RunObserver):
    """A line on standard error for each phase, and for each partition that was not in the cache."""

    def phase_started(self, event: PhaseStarted) -> None:
        from datachef.core.cli.display import size

        self._tell(f"{event.title}: {size(event.total_bytes)}")

    def partition_finished(self, event: PartitionFinished) -> None:
        from datachef.core.cli.display import size

        self._tell(f"  done: {event.label}, {size(event.size)}")

    def run_finished(self, event: RunFinished) -> None:
        cached = f"{event.partitions_cached} of {event.partitions} partitions were in the cache"
        self._tell(f"{event.rows:,} rows; {cached}")

    def _tell(self, line: str) -> None:
        print(one_line(line), file=sys.stderr, flush=True)


class Notices(RunObserver):
    """Warnings on standard error while the run goes on."""

    def partition_stalled(self, event: PartitionStalled) -> None:
        self._warn(f"{event.label}: no progress for {event.seconds:.0f} s, in {event.where}")

    def partition_retried(self, event: PartitionRetried) -> None:
        self._warn(f"{event.label}: begun again: {event.cause}")

    def _warn(self, message: str) -> None:
        print(f"warning: {one_line(message)}", file=sys.stderr, flush=True)


class ProgressLines(PeriodicObserver):
    """A line on standard error every few seconds, where it is no terminal."""

    def show(self, progress: Mapping[str, Any]) -> None:
        if progress["phase"] and progress["state"] == "running":
            print(one_line(line_of(progress)), file=sys.stderr, flush=True)


def line_of(progress: Mapping[str, Any]) -> str:
    """How far a run is, in one line."""
    from datachef.core.cli.display import duration, size

    parts = [f"{progress['phase_done']:,} of {progress['phase_partitions']:,} partitions"]
    if progress["phase_total_bytes"]:
        parts.append(f"{size(progress['phase_bytes'])} of {size(progress['phase_total_bytes'])}")
    if progress["rows"]:
        parts.append(f"{progress['rows']:,} rows ({progress['rows_per_second']:,.0f} rows/s)")
    for number, what in (
        (progress["failed_rows"], "rows failed"),
        (progress["retried"], "partitions begun again"),
        (len(progress["stalled"]), "partitions without progress"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    if progress["seconds_left"] is not None:
        parts.append(f"{duration(progress['seconds_left'])} left")
    return f"{progress['phase']}: {', '.join(parts)}"


class ProgressBar(RunObserver):
    """One bar per phase of partitions; gone when the run is over."""

    def __init__(self) -> None:
        # Not where nobody looks: the workers wait for what is imported before them.
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            console=console(errors=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, rows=0, visible=False)
        self._progress = ProgressTracker()

    def observe(self, event: RunEvent) -> None:
        self._progress.add(event)
        super().observe(event)
        now = self._progress
        self._bar.update(self._task, completed=now.phase_bytes, rows=now.rows)

    def run_started(self, event: RunStarted) -> None:
        self._bar.start()
        escape_output()  # rich has put streams of its own in place of ours

    def phase_started(self, event: PhaseStarted) -> None:
        self._bar.reset(
            self._task, total=event.total_bytes, description=event.title, rows=0, visible=True
        )

    def run_finished(self, event: RunFinished) -> None:
        self._bar.stop()

    def run_failed(self, event: RunFailed) -> None:
        self._bar.stop()
