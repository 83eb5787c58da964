"""`chef report`: what a recipe did to the data, in the terminal and as a page of HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.report.command import report

    app.command("report")(report)
