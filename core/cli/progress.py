"""A progress bar on standard error: bytes, rows, speed, time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from datachef.core.cli.state import console
from datachef.core.contracts.observer import RunObserver
from datachef.core.escaping import escape_output, one_line

if TYPE_CHECKING:
    from datachef.core.run.plan import Plan
    from datachef.core.run.report import Report


class Notices(RunObserver):
    """Lines on standard error about what should not wait until the run is over."""

    def partition_stalled(self, label: str, seconds: float, where: str) -> None:
        told = f"{label}: no progress for {seconds:.0f} s, in {where}"
        print(f"warning: {one_line(told)}", file=sys.stderr, flush=True)


class ProgressBar(RunObserver):
    """One bar per phase of partitions; gone when the run is over."""

    def __init__(self) -> None:
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

    def run_started(self, plan: Plan) -> None:
        self._progress.start()
        escape_output()  # rich has put streams of its own in place of ours

    def phase_started(self, title: str, total_bytes: int) -> None:
        self._rows = self._finished = 0
        self._within.clear()
        self._progress.reset(self._task, total=total_bytes, description=title, rows=0, visible=True)

    def progressed(self, label: str, done_bytes: int, rows: int) -> None:
        self._within[label] = self._within.get(label, 0) + done_bytes
        self._rows += rows
        self._show()

    def partition_finished(self, label: str, size: int) -> None:
        self._within.pop(label, None)
        self._finished += size
        self._show()

    def _show(self) -> None:
        done = self._finished + sum(self._within.values())
        self._progress.update(self._task, completed=done, rows=self._rows)

    def run_finished(self, report: Report) -> None:
        self._progress.stop()

    def run_failed(self, error: BaseException) -> None:
        self._progress.stop()
