"""Training of classifiers for `fasttext_filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.classifier.command import train_classifier

    app.command("train-classifier")(train_classifier)
