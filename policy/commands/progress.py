"""The progress of `chef evolve`: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from datachef.core.cli.display import duration
from datachef.core.cli.state import console
from datachef.core.escaping import escape_output, raw_stream

if TYPE_CHECKING:
    from datachef.policy.evolve.run_state import OnProgress, RunProgress
    from datachef.policy.settings import EvolveSettings


@contextmanager
def show_progress(settings: EvolveSettings) -> Iterator[OnProgress]:
    """Yields the function that shows how a run stands, on standard error."""
    if not raw_stream(sys.stderr).isatty():
        yield lambda progress: print(line(progress), file=sys.stderr, flush=True)
        return
    from rich.live import Live

    with Live(console=console(errors=True), refresh_per_second=4, transient=True) as live:
        escape_output()  # rich has put streams of its own in place of ours
        yield lambda progress: live.update(view(progress, settings))


def line(progress: RunProgress) -> str:
    """The progress of a run in one line."""
    said = [f"round {progress.round} of {progress.rounds}"]
    if progress.steps:
        said.append(f"step {progress.step} of {progress.steps}")
    if progress.mean is not None:
        said.append(f"mean {progress.mean:.4f}")
    if progress.best is not None:
        said.append(f"best {progress.best:.4f}")
    said += [f"{progress.calls:,} calls", f"{progress.evaluations:,} evaluations"]
    if progress.measured is not None:
        said.append(f"best measured {progress.measured:.4f}")
    return f"{progress.doing} | {', '.join(said)}, {duration(progress.seconds)}"


def view(progress: RunProgress, settings: EvolveSettings) -> Any:
    """The progress of a run and what is left of its budget, as a table that is redrawn."""
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    budget = settings.budget
    table = Table.grid(padding=(0, 2))
    table.add_row(Spinner("dots"), Text(progress.doing, style="bold"), "")
    rows = [
        ("round", f"{progress.round} of {progress.rounds}", ""),
        ("step", f"{progress.step} of {progress.steps}", ""),
        ("reward", f"mean {_number(progress.mean)}, best {_number(progress.best)}", ""),
        ("calls", f"{progress.calls:,}", _left(budget.reward_calls, progress.calls)),
        (
            "evaluations",
            f"{progress.evaluations:,}",
            _left(budget.evaluations, progress.evaluations),
        ),
        ("best measured", _number(progress.measured), ""),
        ("time", duration(progress.seconds), _time_left(budget.minutes, progress.seconds)),
    ]
    for name, value, left in rows:
        table.add_row(name, value, Text(left, style="dim"))
    return table


def _number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.4f}"


def _left(limit: int | None, spent: int) -> str:
    return "" if limit is None else f"{max(limit - spent, 0):,} left"


def _time_left(minutes: float | None, seconds: float) -> str:
    return "" if minutes is None else f"{duration(max(60 * minutes - seconds, 0.0))} left"
