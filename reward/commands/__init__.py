"""The commands `chef score`, `evaluate`, `fit` and `history`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands to `chef`."""
    from datachef.reward.commands import evaluate, history, score

    for module in (score, evaluate, history):
        module.register(app)
