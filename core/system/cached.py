"""Files of a cache: what is not as it was written is not there, and whatever stands in the way of a
new one is removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import orjson

from datachef.core.system.atomic import claimed, flush, remove, remove_abandoned
from datachef.core.system.failures import naming, raise_environment_failure

_BEFORE, _BETWEEN, _AFTER = b'{"checksum":"', b'","content":', b"}"
_DIGEST_BYTES = 16

T = TypeVar("T")


def write_record(path: Path, root: Path, name: str, data: Any, *, durable: bool = False) -> None:
    """Keeps plain data as JSON, with a checksum over it and the `name` that it goes by.

    The file holds all of it or what it held before. Unless it is `durable`, it may be lost in a
    crash of the machine, and then is not there.
    """
    raw = orjson.dumps(data)
    sealed = _BEFORE + _checksum(name, raw) + _BETWEEN + raw + _AFTER
    with scratch(root, path) as temporary:
        temporary.write_bytes(sealed)
        if durable:
            flush(temporary)
        put(temporary, path, root)
        if durable:
            flush(path.parent)


def read_record(path: Path, name: str) -> Any:
    """What `write_record` kept under that name; None where there is nothing, or anything else.

    Raises `OSError` for a failure of the machine, such as too many open files, which says nothing
    about what is there.
    """
    sealed = _content(path)
    start = len(_BEFORE) + 2 * _DIGEST_BYTES + len(_BETWEEN)
    raw = sealed[start : -len(_AFTER)]
    if sealed != _BEFORE + _checksum(name, raw) + _BETWEEN + raw + _AFTER:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def is_file(path: Path, size: int) -> bool:
    """Whether a regular file of so many bytes is there."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


@contextmanager
def scratch(root: Path, path: Path) -> Iterator[Path]:
    """A file to write before it is `put` in place, in the folder `tmp` of the cache; gone in the
    end unless it was."""
    with naming(path), _temporary(root, path.name, folder=False) as temporary:
        yield temporary


@contextmanager
def scratch_folder(root: Path, name: str) -> Iterator[Path]:
    """A folder in `tmp` of the cache, gone in the end."""
    with _temporary(root, name, folder=True) as temporary:
        yield temporary


def clear_scratch(root: Path) -> None:
    """Removes what dead processes left in `tmp` of the cache, and nothing of those that live."""
    with suppress(OSError), os.scandir(_scratch(root)) as entries:
        for entry in entries:
            remove_abandoned(Path(entry.path))


def put(temporary: Path, path: Path, root: Path) -> None:
    """Renames a file into its place in a cache, in the stead of whatever is there."""
    _with_room(path, root, lambda: temporary.replace(path))


def make_room(path: Path, root: Path) -> None:
    """Makes the folder for a file of a cache, and removes what stands in the way of both."""
    if not path.parent.is_dir():
        for folder in [*reversed(path.relative_to(root).parents)][1:]:
            place = root / folder
            if os.path.lexists(place) and not place.is_dir():
                remove(place)
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        remove(path)


def _with_room(path: Path, root: Path, action: Callable[[], T]) -> T:
    try:
        return action()
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
        make_room(path, root)
        return action()


@contextmanager
def _temporary(root: Path, name: str, *, folder: bool) -> Iterator[Path]:
    place = _scratch(root) / name
    temporary, descriptor = _with_room(place, root, lambda: claimed(place, folder=folder))
    try:
        yield temporary
    finally:
        remove(temporary)
        os.close(descriptor)


def _scratch(root: Path) -> Path:
    return root / "tmp"


def _checksum(name: str, raw: bytes) -> bytes:
    digest = blake2b(name.encode() + b"\0", digest_size=_DIGEST_BYTES)
    digest.update(raw)
    return digest.hexdigest().encode()


def _content(path: Path) -> bytes:
    """The bytes of a regular file; none where there is none, or it cannot be read."""
    try:
        # a pipe in its place would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise_environment_failure(error)
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    except OSError as error:
        raise_environment_failure(error)
        return b""
    finally:
        os.close(descriptor)
