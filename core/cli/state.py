"""What the commands of one process share: the host, and where they print."""

from __future__ import annotations

import sys
from typing import Any

from datachef.core.errors import DatachefError
from datachef.core.host import Host

_HOSTS: list[Host] = []


def set_host(host: Host) -> None:
    """Gives the commands the plugins of this process."""
    _HOSTS[:] = [host]


def get_host() -> Host:
    """The plugins of this process."""
    return _HOSTS[0]


def take_plugin_files(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without `--plugin FILE`, and the files: they are needed before any command."""
    rest: list[str] = []
    files: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--plugin":
            file = next(waiting, None)
            if file is None:
                raise DatachefError("--plugin takes a Python file")
            files.append(file)
        elif argument.startswith("--plugin="):
            files.append(argument.removeprefix("--plugin="))
        else:
            rest.append(argument)
    return rest, files


def print_json(data: Any) -> None:
    """Data as indented JSON on standard output."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def console(*, errors: bool = False) -> Any:
    """A rich console; wide enough for tables where nobody is looking.

    Text is printed as it is: `[hf]` and `:key:` come from files and packages, never from us.
    """
    from rich.console import Console

    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else 120
    return Console(stderr=errors, width=width, highlight=False, markup=False, emoji=False)
