"""Folders that strangers' programs write into: how much lies there, and how to be rid of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_MOST_FOLDERS = 256
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that is gone afterwards, whatever was put there."""
    folder = Path(tempfile.mkdtemp(prefix="datachef-"))
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Removes a folder, however deep and whatever modes its parts have, as far as it can be.

    Folders inside are moved up before they are emptied, so that no path gets long and nothing
    recurs. Links are removed, not followed. No process may write there meanwhile.
    """
    moved = count()
    folders = [folder]
    with tempfile.TemporaryDirectory(
        prefix=f"{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
    ) as beside:
        while folders:
            place = folders.pop()
            with suppress(OSError):
                place.chmod(0o700)
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            os.chmod(entry.path, 0o700)  # noqa: PTH101 - there may be very many
                            target = Path(beside, str(next(moved)))
                            os.rename(entry.path, target)  # noqa: PTH104
                            folders.append(target)
                        else:
                            os.unlink(entry.path)  # noqa: PTH108
                place.rmdir()
    shutil.rmtree(folder, ignore_errors=True)  # what could not be moved, if anything


def within(folder: Path, process: int, disk_bytes: int, files: int) -> bool:
    """Whether what a process has put into a folder, or has open and removed, keeps to its bounds.

    Folders that cannot be looked into, and very many of them, do not.
    """
    size = found = 0
    with suppress(OSError), os.scandir(f"/proc/{process}/fd") as descriptors:
        for descriptor in descriptors:
            with suppress(OSError):
                held = descriptor.stat()
                size += held.st_blocks * 512 if held.st_nlink == 0 else 0
    left = [os.open(folder, os.O_RDONLY)]
    try:
        while left and size <= disk_bytes and found <= files and len(left) <= _MOST_FOLDERS:
            place = left.pop()
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        found += 1
                        with suppress(FileNotFoundError):
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
                            if entry.is_dir(follow_symlinks=False):
                                left.append(os.open(entry.name, _FOLDER, dir_fd=place))
            finally:
                os.close(place)
        return not left and size <= disk_bytes and found <= files
    except OSError:
        return False
    finally:
        for place in left:
            os.close(place)
