"""The commands `chef propose`, `train` and `evolve`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands to `chef`."""
    from datachef.policy.commands import evolve, propose, train

    for module in (propose, train, evolve):
        module.register(app)
