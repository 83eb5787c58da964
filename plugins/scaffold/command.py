"""`chef new`: a plugin package, a part of one, a recipe or a task to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from datachef.core import DatachefError
from datachef.core.cli.completion import words
from datachef.core.cli.state import get_host
from datachef.core.errors import did_you_mean

_KINDS = ("plugin", "operator", "source", "reward", "recipe", "task")


def new(
    kind: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}.",
            autocompletion=words(lambda: _KINDS),
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name, such as my_filters.", show_default=False)],
    folder: Annotated[
        Path, typer.Option("--folder", "-f", help="Where it is written.", file_okay=False)
    ] = Path(),
) -> None:
    """Write a plugin package with its tests, a part of one, or a recipe or task to begin with.

    An operator, source or reward is added to the plugin package in the folder, or else becomes a
    package of its own. Nothing that is there is overwritten.
    """
    from datachef.plugins.scaffold.package import written_part
    from datachef.plugins.scaffold.template import write_new, written_document

    if kind not in _KINDS:
        raise DatachefError(f"nothing of the kind {kind!r} can be made", did_you_mean(kind, _KINDS))
    if kind in ("recipe", "task"):
        made = written_document(kind, name)
    else:
        made = written_part(kind, name, folder, get_host())
    for path in write_new(folder, made):
        print(f"wrote {shlex.quote(str(path))}")
    for line in made.next:
        print(line)
