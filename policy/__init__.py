"""The policy: a language model that writes recipes, trained by reinforcement learning.

Registers the commands `chef propose`, `train` and `evolve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datachef.core.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.policy import commands

    commands.register(app)
