"""Folders of files that are there whole or not at all, on a disk or behind a URL."""

from __future__ import annotations

import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from datachef.core.system.atomic import (
    cache_scratch,
    clear_scratch,
    content,
    is_file,
    put,
    scratch_folder,
)

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")
# Whatever one machine wrote there, another may not see for as long as it trusts what it knew.
_LATE = {"nfs": 60.0, "nfs4": 60.0, "cifs": 10.0, "smb3": 10.0, "fuse.sshfs": 30.0}


class FoundFile(NamedTuple):
    """A file of a folder; `modified` in seconds since 1970."""

    name: str
    size: int
    modified: float


class Folder(ABC):
    """Files by their names in one place; each is there whole or not at all, whoever dies.

    What another machine wrote may be missing here for `late` seconds. What can be done about a
    place that cannot be reached or written is said by a `RunError` or an `OSError`.
    """

    late: float = 0.0
    # Whether it is behind a URL: every request takes a while, and other machines share it.
    remote: bool = False

    @abstractmethod
    def prepare(self) -> None:
        """Removes what dead processes left half written. Raises where nothing can be written."""

    @abstractmethod
    def content(self, name: str) -> bytes:
        """All of a small file; nothing where there is none."""

    @abstractmethod
    def piece(self, name: str, start: int, size: int) -> bytes:
        """Some of the bytes of a file. Raises `FileNotFoundError`."""

    @abstractmethod
    def path(self, name: str) -> Path:
        """Where a file, or a copy of it, lies on this machine. Raises `FileNotFoundError`."""

    @abstractmethod
    def files(self, below: str = "") -> Iterator[FoundFile]:
        """The files below a folder (or all)."""

    @abstractmethod
    def holds(self, name: str, size: int) -> bool:
        """Whether a file of this size is there."""

    @abstractmethod
    def put(self, made: Path, name: str) -> None:
        """Puts a file, made in `scratch`, in the place of whatever has the name."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file, where it is there and that can be done."""

    @abstractmethod
    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A file to write on this machine before it is `put` in place; gone in the end."""

    @abstractmethod
    def scratch_folder(self, name: str) -> AbstractContextManager[Path]:
        """A folder on this machine, gone in the end."""

    @abstractmethod
    def shown(self, name: str) -> str:
        """A file as people know it: by its path or URL."""

    def put_bytes(self, raw: bytes, name: str) -> None:
        """Puts a small file in the place of whatever has the name."""
        with self.scratch(name) as temporary:
            temporary.write_bytes(raw)
            self.put(temporary, name)


class LocalFolder(Folder):
    """A folder of this machine: a file is renamed into its place, which is one step on its disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.late = _LATE.get(_kind_of_disk(root), 0.0)

    def prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        clear_scratch(self.root)
        with cache_scratch(self.root, self.root / "probe"):
            pass

    def content(self, name: str) -> bytes:
        return content(self.root / name)

    def piece(self, name: str, start: int, size: int) -> bytes:
        with (self.root / name).open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def path(self, name: str) -> Path:
        return self.root / name

    def files(self, below: str = "") -> Iterator[FoundFile]:
        for place, _, files in os.walk(self.root / below):
            for path in (Path(place, file) for file in files):
                with suppress(FileNotFoundError):  # it has just been removed
                    found = path.stat()
                    name = str(path.relative_to(self.root))
                    yield FoundFile(name, found.st_size, found.st_mtime)

    def holds(self, name: str, size: int) -> bool:
        return is_file(self.root / name, size)

    def put(self, made: Path, name: str) -> None:
        put(made, self.root / name, self.root)

    def remove(self, name: str) -> None:
        with suppress(OSError):
            (self.root / name).unlink()

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        with cache_scratch(self.root, self.root / name) as temporary:
            yield temporary

    @contextmanager
    def scratch_folder(self, name: str) -> Iterator[Path]:
        with scratch_folder(self.root, name) as temporary:
            yield temporary

    def shown(self, name: str) -> str:
        return str(self.root / name)


def _kind_of_disk(place: Path) -> str:
    """The type of the file system that a path is on; empty where the system does not say."""
    if sys.platform != "linux":
        return ""
    real = place.resolve()
    found: tuple[int, str] = (0, "")
    with suppress(OSError):
        for line in _MOUNTS.read_text().splitlines():
            before, _, after = line.partition(" - ")
            point = Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), before.split()[4]))
            # of several on one point, the last one is seen
            if real.is_relative_to(point) and len(point.parts) >= found[0]:
                found = (len(point.parts), after.split()[0])
    return found[1]
