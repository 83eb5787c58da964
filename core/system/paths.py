"""How a path that a person wrote is understood, wherever it stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from datachef.core.errors import DatachefError
from datachef.core.escaping import is_whole, shown

_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")
_PATH_ARGUMENT = re.compile(r"(-\w|--[\w-]+=)?(~.*)", re.DOTALL)


def expanded(name: str | Path) -> Path:
    """The path, with `~` or `~user` at its beginning as that person's home folder.

    Nothing else is replaced: variables, patterns and a `~` of nobody stand for themselves.
    """
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises where there is nobody


def located(folder: Path, name: str | Path) -> Path:
    """A path as it is meant in a file that lies in `folder`."""
    return folder / expanded(name)


def located_or_named(folder: Path, name: str) -> str:
    """What is either a folder, as `located` finds it, or a name on a hub, which stays as it is."""
    path = located(folder, name)
    return str(path) if name.startswith("~") or os.path.isdir(path) else name  # noqa: PTH112


def with_homes(arguments: Iterable[str]) -> list[str]:
    """Arguments of a command with `~` expanded where the shell does not: in `--output=~/corpus`."""
    found = ((argument, _PATH_ARGUMENT.fullmatch(argument)) for argument in arguments)
    return [f"{path[1] or ''}{expanded(path[2])}" if path else word for word, path in found]


def in_utf8(names: Iterable[str]) -> list[str]:
    """The names as they are. Raises `DatachefError` for one that is not UTF-8: results name files,
    and could not name it."""
    listed = list(names)
    for name in listed:
        if not is_whole(name):
            raise DatachefError(f"the name {shown(name)!r} is not UTF-8", "rename it")
    return listed


def not_expanded(name: str | Path) -> str:
    """What to say of a path that is not there and names a variable; nothing for others."""
    found = _VARIABLE.search(str(name))
    return f"; variables are not expanded: {found[0]} stands for itself" if found else ""
