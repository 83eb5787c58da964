"""Files and folders that are there whole or not at all, whatever dies and whoever else writes."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datachef.core.ownership import move_strangers, read_mark, strangers
from datachef.core.system_errors import naming

_LEFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.(?P<kind>partial|old)")
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2


def write_atomically(path: Path, raw: bytes) -> None:
    """The file holds all of `raw` or what it held before, whenever the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as temporary:
        temporary.write_bytes(raw)
        temporary.replace(path)


def write_once(path: Path, raw: bytes) -> None:
    """Like `write_atomically`, but a file that is there stays: others may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as temporary:
        temporary.write_bytes(raw)
        if not _renamed(temporary, path, _RENAME_NOREPLACE) and not path.exists():
            temporary.replace(path)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, gone in the end unless it was renamed."""
    temporary = beside(path, "tmp")
    try:
        with naming(path):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path, kind: str) -> Path:
    """A hidden name in the same folder that no other process has, on this machine or another.

    Process numbers would not do: containers that share a disk have the same ones.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.{kind}")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` when nothing went wrong.

    Who reads `folder` finds the old one or the new one, whole; where the system cannot swap two
    folders in one step, for a moment none. Processes that make the same folder at the same time do
    not meet: the last one stays. Where `folder` is a link, what it points to is replaced. What lies
    in it and is not ours, by its mark, is moved into the new one.
    """
    folder = folder.resolve()
    staging = beside(folder, "partial")
    staging.mkdir(parents=True)
    try:
        yield staging
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    try:
        _put(staging, folder)
    finally:
        _discard(staging, folder)


def clear_leftovers(folder: Path) -> None:
    """Removes what killed processes left behind of `replacing(folder)`.

    A folder that was taken away for a new one that never came is put back. Nobody else may be
    writing the folder: hold its lock.
    """
    folder = folder.resolve()
    if not folder.parent.is_dir():
        return
    for path in folder.parent.iterdir():
        left = _LEFT.fullmatch(path.name)
        if left is None or left["name"] != folder.name:
            continue
        if left["kind"] == "old" and not folder.exists():
            path.rename(folder)
        else:
            _discard(path, folder)


def _discard(path: Path, folder: Path) -> None:
    """Removes a folder that `folder` took the place of, or was to; what others keep in it moves."""
    if read_mark(path) is not None and strangers(path):
        if not folder.exists():
            path.rename(folder)
            return
        move_strangers(path, folder)
    shutil.rmtree(path, ignore_errors=True)


def _put(staging: Path, folder: Path) -> None:
    """The new folder in the place of the old one, which is in the place of the new one then."""
    if not folder.exists():
        staging.rename(folder)
    elif not _exchanged(staging, folder):
        retired = beside(folder, "old")
        folder.rename(retired)
        staging.rename(folder)
        _discard(retired, folder)


def _exchanged(one: Path, other: Path) -> bool:
    """Swaps two folders in one step; False where system or file system cannot."""
    return _renamed(one, other, _RENAME_EXCHANGE)


def _renamed(one: Path, other: Path, flags: int) -> bool:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    places = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    return bool(renameat2(*places, flags) == 0)
