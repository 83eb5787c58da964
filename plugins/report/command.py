"""`chef report`: what is told of a folder that a command wrote, in the terminal or as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datachef.core.cli.completion import written_folders
from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core import FolderReport


def report(
    folder: Annotated[
        str,
        typer.Argument(
            help="The folder of a run, a training or an evolution, or the URL of a run.",
            autocompletion=written_folders,
            show_default=False,
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with pictures and samples."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what came of a run, a training or an evolution, by the folder that it wrote.

    Of a run that is its ledger, the shares of its sources and its warnings. With `--html` it is a
    page that needs no network and no other file: of a run the flow of the rows, the signals of each
    filter with its thresholds and samples of rows; of a training its curves and its best recipes.
    """
    from datachef.core.cli.display import place
    from datachef.core.pages.rendering import write_page

    told = _report(folder)
    if html is not None:
        write_page(html, told.page())
    if as_json:
        print_json(told.data())
    elif html is not None:
        console().print(place(html.absolute()), soft_wrap=True)
    else:
        for part in told.printed():
            console().print(part, soft_wrap=isinstance(part, str))


def _report(folder: str) -> FolderReport:
    """The report of the kind of folder that this is; one without a mark is read as a corpus, and so
    is a URL."""
    from datachef.core import DatachefError
    from datachef.core.system.ownership import CORPUS, read_mark
    from datachef.core.system.paths import is_url

    place = folder if is_url(folder) else Path(folder)
    mark = read_mark(place) if isinstance(place, Path) else None
    kind = CORPUS if mark is None else mark.kind
    host = get_host()
    known = host.named("datachef_reports")
    if kind not in known:
        raise DatachefError(
            f"there is no report of a folder with a {kind}",
            f"name the folder of a {', '.join(sorted(known))}",
        )
    made: FolderReport = known[kind](place, host)
    return made
