"""The policy: `chef propose`, `train` and `evolve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.policy import evolving, proposing, training

    for module in (proposing, training, evolving):
        module.register(app)
