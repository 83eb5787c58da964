"""`chef report`, `chef sample` and `chef diff`: what recipes do to data, printed or as a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer

    from datachef.core import FinishedRun


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.report.command import report
    from datachef.plugins.report.diff_command import diff
    from datachef.plugins.report.sample_command import sample

    app.command("report")(report)
    app.command("sample")(sample)
    app.command("diff")(diff)


@hookimpl
def datachef_run_pages() -> Mapping[str, Callable[[FinishedRun], str]]:
    return {"report": _page}


def _page(run: FinishedRun) -> str:
    from datachef.core.registry.host import installed
    from datachef.plugins.report.page import page

    return page(run, installed().vocabulary)
