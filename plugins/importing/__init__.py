"""Pipelines of other libraries as recipes: `chef import`, and our names of their operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def datachef_peer_names() -> Mapping[str, str]:
    from datachef.plugins.importing.table import peer_names

    return peer_names()


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.importing.command import import_recipe

    app.command("import")(import_recipe)
