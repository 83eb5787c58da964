"""A progress bar on standard error: bytes, rows, speed, time left."""

from __future__ import annotations

import sys

from datachef.core.cli.state import console, is_quiet, is_verbose
from datachef.core.contracts.engine import (
    PartitionFinished,
    PartitionStalled,
    PhaseStarted,
    Progressed,
    RunFailed,
    RunFinished,
    RunObserver,
    RunStarted,
)
from datachef.core.escaping import escape_output, one_line, raw_stream


def observers() -> list[RunObserver]:
    """What is to be told of a run: nothing, its state in a bar, or each of its parts in a line."""
    if is_quiet():
        return []
    if is_verbose():
        return [Notices(), Parts()]
    return [Notices(), *([ProgressBar()] if raw_stream(sys.stderr).isatty() else [])]


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
        message = f"{event.label}: no progress for {event.seconds:.0f} s, in {event.where}"
        print(f"warning: {one_line(message)}", file=sys.stderr, flush=True)


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

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            console=console(errors=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, rows=0, visible=False)
        self._rows = 0
        self._within: dict[str, int] = {}
        self._finished = 0

    def run_started(self, event: RunStarted) -> None:
        self._progress.start()
        escape_output()  # rich has put streams of its own in place of ours

    def phase_started(self, event: PhaseStarted) -> None:
        self._rows = self._finished = 0
        self._within.clear()
        self._progress.reset(
            self._task, total=event.total_bytes, description=event.title, rows=0, visible=True
        )

    def progressed(self, event: Progressed) -> None:
        self._within[event.label] = self._within.get(event.label, 0) + event.bytes
        self._rows += event.rows
        self._show()

    def partition_finished(self, event: PartitionFinished) -> None:
        self._within.pop(event.label, None)
        self._finished += event.size
        self._show()

    def _show(self) -> None:
        done = self._finished + sum(self._within.values())
        self._progress.update(self._task, completed=done, rows=self._rows)

    def run_finished(self, event: RunFinished) -> None:
        self._progress.stop()

    def run_failed(self, event: RunFailed) -> None:
        self._progress.stop()
