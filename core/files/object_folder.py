"""A folder in an object store: what lies under a URL of S3, Google Cloud Storage or Azure."""

from __future__ import annotations

import atexit
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from datachef.core.errors import RunError
from datachef.core.files.object_store import IMPATIENCE, connected, library, told
from datachef.core.system.atomic import cache_scratch, clear_scratch, scratch_folder
from datachef.core.system.folder import Folder, FoundFile

# What copies of files may take of the disk; so many are kept in any case, as they may be in use.
_MOST_COPIED = 4 * 2**30
_KEPT_COPIES = 128
_PROBE = ".datachef-probe"

# What a store calls a file as it was when it was read: its entity tag, or what Google asks for, its
# generation. None for no file, empty where a store does not tell versions apart.
Version = Mapping[str, str] | None


class ChangedMeanwhileError(RunError):
    """A file was replaced by somebody else since it was read."""


class ObjectFolder(Folder):
    """Files whose names begin with the path of a URL.

    A file is sent by one request, or in parts that become a file by the last request: who dies
    before leaves none. What was written is seen everywhere from then on. Copies of what is read lie
    in the cache of this machine, bounded in size, until the process ends.
    """

    remote = True

    def __init__(self, url: str, cache: Path) -> None:
        """Raises `DatachefError` for a URL that is none of an object store, or where the library is
        not installed."""
        self.url = url.rstrip("/")
        self._obstore = library(self.url)
        self._cache = cache
        self._stack = ExitStack()
        self._copies: OrderedDict[str, tuple[Path, int]] = OrderedDict()
        self._copied = 0
        self._lock = Lock()  # decisions read many files at once

    @cached_property
    def _store(self) -> Any:
        return connected(self.url)

    def prepare(self) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        clear_scratch(self._cache)
        self._store = connected(self.url, IMPATIENCE)
        self.put_bytes(b"", _PROBE)
        self.remove(_PROBE)
        self._store = connected(self.url)

    def content(self, name: str) -> bytes:
        return self.version(name)[0]

    def version(self, name: str) -> tuple[bytes, Version]:
        """All of a small file, and the name of this version of it; None where there is none."""
        try:
            with told(self.url):
                found = self._obstore.get(self._store, name)
                told_apart = ((part, found.meta.get(part)) for part in ("e_tag", "version"))
                return bytes(found.bytes()), {part: value for part, value in told_apart if value}
        except FileNotFoundError:
            return b"", None

    def piece(self, name: str, start: int, size: int) -> bytes:
        with told(self.url):
            return bytes(self._obstore.get_range(self._store, name, start=start, length=size))

    def path(self, name: str) -> Path:
        with self._lock:
            if name in self._copies:
                self._copies.move_to_end(name)
                return self._copies[name][0]
            copy = self._copies_folder / uuid4().hex
        with told(self.url), copy.open("wb") as stream:
            for part in self._obstore.get(self._store, name).stream():
                stream.write(part)
        with self._lock:
            if name in self._copies:  # another thread was faster
                copy.unlink()
                return self._copies[name][0]
            self._copies[name] = copy, copy.stat().st_size
            self._copied += self._copies[name][1]
            while self._copied > _MOST_COPIED and len(self._copies) > _KEPT_COPIES:
                _, (oldest, size) = self._copies.popitem(last=False)
                self._copied -= size
                oldest.unlink(missing_ok=True)
        return copy

    @cached_property
    def _copies_folder(self) -> Path:
        atexit.register(self._stack.close)
        return self._stack.enter_context(scratch_folder(self._cache, "copies"))

    def holds(self, name: str, size: int) -> bool:
        try:
            with told(self.url):
                return bool(self._obstore.head(self._store, name)["size"] == size)
        except FileNotFoundError:
            return False

    def files(self, below: str = "") -> Iterator[FoundFile]:
        with told(self.url):
            for found in self._obstore.list(self._store, below or None):
                for one in found:
                    yield FoundFile(one["path"], one["size"], one["last_modified"].timestamp())

    def put(self, made: Path, name: str) -> None:
        self._put(name, made)

    def put_bytes(self, raw: bytes, name: str) -> None:
        self._put(name, raw)

    def put_version(self, raw: bytes, name: str, replaced: Version) -> None:
        """Puts a small file in the place of the version that was read. Raises
        `ChangedMeanwhileError` where another one is there by now."""
        mode = "create" if replaced is None else replaced or "overwrite"
        try:
            self._put(name, raw, mode=mode)
        except FileExistsError:
            if self.content(name) != raw:  # else a request that was repeated had arrived at first
                raise ChangedMeanwhileError(
                    f"{self.shown(name)} was written by another run meanwhile",
                    "one run at a time for one output: run again",
                ) from None

    def _put(self, name: str, content: Path | bytes, **how: Any) -> None:
        try:
            with told(self.url):
                self._obstore.put(self._store, name, content, **how)
        except FileNotFoundError as error:
            if isinstance(content, Path) and not content.exists():
                raise
            bucket = "/".join(self.url.split("/")[:3])
            raise RunError(f"there is no {bucket}", "make it, or name another one") from error

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), told(self.url):
            self._obstore.delete(self._store, name)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        with cache_scratch(self._cache, self._cache / name) as temporary:
            yield temporary

    @contextmanager
    def scratch_folder(self, name: str) -> Iterator[Path]:
        with scratch_folder(self._cache, name) as temporary:
            yield temporary

    def shown(self, name: str) -> str:
        return f"{self.url}/{name}" if name else self.url
