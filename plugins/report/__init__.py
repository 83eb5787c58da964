"""`chef report`, `chef sample` and `chef diff`: what commands did, printed or as a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from datachef.core import FolderReport, Host


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.report.command import report
    from datachef.plugins.report.diff_command import diff
    from datachef.plugins.report.sample_command import sample

    app.command("report")(report)
    app.command("sample")(sample)
    app.command("diff")(diff)


@hookimpl
def datachef_reports() -> Mapping[str, Callable[[Path, Host], FolderReport]]:
    return {"corpus": _of_corpus}


def _of_corpus(folder: Path, host: Host) -> FolderReport:
    from datachef.plugins.report.page import CorpusReport

    return CorpusReport(folder, host)
