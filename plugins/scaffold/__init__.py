"""Packages of operators, sources and rewards to begin with, and recipes and tasks: `chef new`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.scaffold.command import new

    app.command("new")(new)
