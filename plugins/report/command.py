"""`chef report`: the ledger of a finished run in the terminal, or all that is known as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datachef.core.cli.completion import runs
from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core import FinishedRun


def report(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="The folder of a finished run.", autocompletion=runs, show_default=False
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with pictures and samples."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a run did: its ledger, the shares of its sources and its warnings.

    With `--html` this is a page that needs no network and no other file: the flow of the rows, the
    signals of each filter with its thresholds, samples of what was rejected and changed.
    """
    from datachef.core import FinishedRun
    from datachef.core.cli.display import accounts, place

    run = FinishedRun.open(corpus)
    if html is not None:
        _write(run, html)
    if as_json:
        print_json(run.ledger_data)
    elif html is not None:
        console().print(place(html.absolute()), soft_wrap=True)
    else:
        shares = [share.to_data() for share in run.shares]
        for part in accounts(run.ledger_data, shares, run.warnings):
            console().print(part, soft_wrap=isinstance(part, str))


def _write(run: FinishedRun, file: Path) -> None:
    from datachef.core.system.outputs import write_file
    from datachef.plugins.report.page import MARK, page

    write_file(
        file,
        page(run, get_host().vocabulary).encode(),
        "report",
        lambda raw: raw.startswith(MARK.encode()),
    )
