"""How a path that a person wrote is understood, wherever it stands."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")


def expanded(name: str | Path) -> Path:
    """The path, with `~` or `~user` at its beginning as that person's home folder.

    Nothing else is replaced: variables, patterns and a `~` of nobody stand for themselves.
    """
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises where there is nobody


def located(folder: Path, name: str | Path) -> Path:
    """A path as it is meant in a file that lies in `folder`."""
    return folder / expanded(name)


def not_expanded(name: str | Path) -> str:
    """What to say of a path that is not there and names a variable; nothing for others."""
    found = _VARIABLE.search(str(name))
    return f"; variables are not expanded: {found[0]} stands for itself" if found else ""


# A path on the command line: the shell expands `~` in `--output ~/x`, but not in `--output=~/x`.
UserPath = Annotated[Path, AfterValidator(expanded)]
