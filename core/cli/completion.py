"""What a shell offers for the next word. Nothing is imported for it but what knows the words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

# As much of a YAML file as is read to see what it is.
_READ_BYTES = 2**16
_KEY = re.compile(r"^(\w+)\s*:", re.MULTILINE)
# A value that means the same in a shell, and is read as it was written.
_PLAIN = re.compile(r"[\w./,:@%+-]+")


def words(known: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Completes names, which are asked for when they are needed."""

    def completed(incomplete: str) -> list[str]:
        return sorted(name for name in known() if name.startswith(incomplete))

    return completed


def recipes(incomplete: str) -> list[str]:
    """Completes the path of a recipe."""
    return _paths(incomplete, lambda path: {"name", "sources"} <= _keys(path))


def pools(incomplete: str) -> list[str]:
    """Completes the path of a pool, which has no name."""
    return _paths(incomplete, lambda path: _keys(path) & {"name", "sources"} == {"sources"})


def tasks(incomplete: str) -> list[str]:
    """Completes the path of a task."""
    return _paths(incomplete, lambda path: {"name", "benchmark"} <= _keys(path))


def runs(incomplete: str) -> list[str]:
    """Completes the folder of a finished run."""
    from datachef.core.system.ownership import MANIFEST

    return _paths(incomplete, lambda path: (path / MANIFEST).is_file())


def written_folders(incomplete: str) -> list[str]:
    """Completes a folder that a command wrote: of a run, of a training ..."""
    from datachef.core.system.ownership import MANIFEST, MARK

    return _paths(
        incomplete, lambda path: any((path / name).is_file() for name in (MANIFEST, MARK))
    )


def overrides(context: typer.Context, incomplete: str) -> list[str]:
    """Completes a place of the recipe that stands before it on the line, with its present value."""
    from datachef.core import document

    named = [context.params.get("recipe"), *context.args]
    recipe = next((Path(name) for name in named if name and Path(name).is_file()), None)
    places = _places(document.read(recipe).data, ()) if recipe else ()
    return [place for place in places if place.startswith(incomplete)]


def _paths(incomplete: str, is_wanted: Callable[[Path], bool]) -> list[str]:
    """The files or folders that are wanted, and other folders, which may lead to some. A folder
    that would be the only word is opened."""
    from datachef.core.system.paths import expanded

    folder, slash, beginning = incomplete.rpartition("/")
    found = []
    try:
        entries = sorted(os.scandir(expanded(folder + slash or ".")), key=lambda entry: entry.name)
    except OSError:
        return []
    for entry in entries:
        if entry.name.startswith(beginning) and (beginning or not entry.name.startswith(".")):
            if is_wanted(Path(entry.path)):
                found.append(f"{folder}{slash}{entry.name}")
            elif entry.is_dir():
                found.append(f"{folder}{slash}{entry.name}/")
    opened = _paths(found[0], is_wanted) if len(found) == 1 and found[0].endswith("/") else []
    return opened or found


def _keys(path: Path) -> set[str]:
    """The keys at the top of a YAML file; none of another file."""
    if path.suffix not in (".yaml", ".yml"):
        return set()
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return set(_KEY.findall(stream.read(_READ_BYTES)))
    except OSError:
        return set()


def _places(data: Any, location: tuple[str | int, ...]) -> Iterator[str]:
    from datachef.core.errors import dotted

    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _places(value, (*location, key))
    else:
        value = data if isinstance(data, str) else json.dumps(data)
        yield f"{dotted(location)}={value if _PLAIN.fullmatch(value) else ''}"
