"""The policy: a language model that writes recipes, trained by reinforcement learning.

Registers the commands `chef propose`, `train` and `evolve`, and the reports of their folders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from datachef.core.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from datachef.core.registry.folder_report import FolderReport
    from datachef.core.registry.host import Host


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.policy import commands

    commands.register(app)


@hookimpl
def datachef_reports() -> Mapping[str, Callable[[Path, Host], FolderReport]]:
    return {"training": _of_training, "evolution": _of_evolution}


def _of_training(folder: Path, host: Host) -> FolderReport:
    from datachef.policy.reports.training import TrainingReport

    return TrainingReport(folder, host)


def _of_evolution(folder: Path, host: Host) -> FolderReport:
    from datachef.policy.reports.evolution import EvolutionReport

    return EvolutionReport(folder, host)
