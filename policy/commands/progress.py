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
    from datachef.policy.evolve.run_state import State, Told
    from datachef.policy.settings import EvolveSettings


@contextmanager
def show_progress(settings: EvolveSettings) -> Iterator[Told]:
    """Yields the function that shows how a run stands, on standard error."""
    if not raw_stream(sys.stderr).isatty():
        yield lambda state: print(line(state), file=sys.stderr, flush=True)
        return
    from rich.live import Live

    with Live(console=console(errors=True), refresh_per_second=4, transient=True) as live:
        escape_output()  # rich has put streams of its own in place of ours
        yield lambda state: live.update(view(state, settings))


def line(state: State) -> str:
    """The state of a run in one line."""
    said = [f"round {state.round} of {state.rounds}"]
    if state.steps:
        said.append(f"step {state.step} of {state.steps}")
    if state.mean is not None:
        said.append(f"mean {state.mean:.4f}")
    if state.best is not None:
        said.append(f"best {state.best:.4f}")
    said += [f"{state.calls:,} calls", f"{state.evaluations:,} evaluations"]
    if state.measured is not None:
        said.append(f"best measured {state.measured:.4f}")
    return f"{state.doing} | {', '.join(said)}, {duration(state.seconds)}"


def view(state: State, settings: EvolveSettings) -> Any:
    """The state of a run and what is left of its budget, as a table that is redrawn."""
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    budget = settings.budget
    table = Table.grid(padding=(0, 2))
    table.add_row(Spinner("dots"), Text(state.doing, style="bold"), "")
    rows = [
        ("round", f"{state.round} of {state.rounds}", ""),
        ("step", f"{state.step} of {state.steps}", ""),
        ("reward", f"mean {_number(state.mean)}, best {_number(state.best)}", ""),
        ("calls", f"{state.calls:,}", _left(budget.reward_calls, state.calls)),
        ("evaluations", f"{state.evaluations:,}", _left(budget.evaluations, state.evaluations)),
        ("best measured", _number(state.measured), ""),
        ("time", duration(state.seconds), _time_left(budget.minutes, state.seconds)),
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
