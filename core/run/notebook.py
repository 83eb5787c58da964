"""A finished run as a notebook shows it: the page of its report in a frame, or its ledger."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from datachef.core.escaping import one_line
from datachef.core.registry.installed import installed
from datachef.core.system.containment import ENDINGS, cause_of, contained
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.ownership import CORPUS

if TYPE_CHECKING:
    from datachef.core.run.finished import FinishedRun

_HEIGHT = 720


def as_html(run: FinishedRun) -> str:
    """The page of the run's report; without a plugin that can make it, a table.

    The page runs apart from the notebook: scripts of its own, and nothing of where it is shown.
    """
    host = installed()
    report = host.named("datachef_reports").get(CORPUS)
    if report is None:
        return _table(run)
    try:
        with contained():
            shown = str(report(run.place, host).page())
    except ENDINGS as error:
        raise_environment_failure(error)
        return f"<p>{escape(f'the page broke: {cause_of(error)}')}</p>{_table(run)}"
    return (
        f'<iframe sandbox="allow-scripts" title="report of the run" srcdoc="{escape(shown)}" '
        f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
    )


def _table(run: FinishedRun) -> str:
    """The ledger: a line for each step."""
    rows = []
    for entry in run.ledger:
        gone = sorted((entry.dropped + entry.failed).items(), key=lambda item: -item[1])
        reasons = ", ".join(f"{one_line(reason)} {count:,}" for reason, count in gone)
        numbers = (f"{number:,}" for number in (entry.rows_in, entry.rows_out))
        cells = (entry.path, entry.op, *numbers, reasons)
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    names = ("step", "operator", "rows in", "kept", "dropped and failed")
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    folder = escape(one_line(str(run.place)))
    return f"<table><caption>{folder}</caption><tr>{head}</tr>{lines}</table>"
