"""Files that are there whole or not at all, whoever dies or writes; and checked files of caches."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import orjson

from datachef.core.system.failures import naming, raise_environment_failure
from datachef.core.system.ownership import foreign_files, move_foreign_files, read_mark

_LEFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.(?P<kind>partial|old)")
_CLAIMED = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})[0-9a-f]{24}\.tmp")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_ABANDONED_SECONDS = 7 * 24 * 3600
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2


def write_atomically(path: Path, raw: bytes) -> None:
    """The file holds all of `raw` or what it held before, whenever the process or the machine dies;
    once this returns, it holds `raw`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as temporary:
        temporary.write_bytes(raw)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)


def write_once(path: Path, raw: bytes) -> None:
    """Like `write_atomically`, but a file that is there stays: others may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as temporary:
        temporary.write_bytes(raw)
        flush(temporary)
        if not _renamed(temporary, path, _RENAME_NOREPLACE) and not path.exists():
            temporary.replace(path)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, gone in the end unless it was renamed.

    What processes left that died while they wrote the same file is removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        remove_abandoned(left)
    with naming(path):
        temporary, descriptor = claimed(path)
    try:
        with naming(path):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def beside(path: Path, kind: str) -> Path:
    """A hidden name in the same folder that no other process has, on this machine or another.

    It begins with a digest of the machine. Process numbers would not do: containers that share a
    disk have the same ones.
    """
    return path.with_name(f".{path.name}.{_machine()}{uuid.uuid4().hex[:24]}.{kind}")


def claimed(path: Path, *, folder: bool = False) -> tuple[Path, int]:
    """Makes an empty file or folder beside `path`, and a descriptor of it.

    As long as that is open, it is locked, so that others know that who writes it lives; where the
    file system has no locks, it is not.
    """
    while True:
        made = beside(path, "tmp")
        if folder:
            made.mkdir()
        flags = os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(made, flags | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            if not folder:
                raise
            continue  # taken for abandoned, as below
        if _locked(descriptor) is not False and os.path.lexists(made):
            return made, descriptor
        os.close(descriptor)  # somebody took it for abandoned before it was locked


def remove_abandoned(path: Path) -> None:
    """Removes a file or folder that `claimed` made for a process that is dead.

    On this machine the lock tells. Of what another machine made, or where the file system has no
    locks, nothing is known, and it is removed when it was left untouched for days.
    """
    named = _CLAIMED.fullmatch(path.name)
    if named is None:
        return
    try:
        untouched = time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        free = _locked(descriptor) if named["machine"] == _machine() else None
        if free or (free is None and untouched):
            remove(path)  # while it is locked: who is just making it notices
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it, as far as that can be."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _locked(descriptor: int) -> bool | None:
    """Whether an open file was free and is locked now; None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def flush(path: Path) -> None:
    """Has a file, or the names in a folder, on the disk before anything else is done."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise  # some file systems have nothing to flush for folders
    finally:
        os.close(descriptor)


def _flush_all(folder: Path) -> None:
    for place, _, files in os.walk(folder):
        for path in (Path(place, file) for file in files):
            if path.is_file() and not path.is_symlink():
                flush(path)
        flush(Path(place))


@cache
def _machine() -> str:
    """Tells this machine, as it was started last, from others; what containers share it."""
    try:
        name = _BOOT.read_text()
    except OSError:
        name = socket.gethostname()
    return blake2b(name.encode(), digest_size=4).hexdigest()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` when nothing went wrong.

    Who reads `folder` finds the old one or the new one, whole; where the system cannot swap two
    folders in one step, for a moment none. Processes that make the same folder at the same time do
    not meet: the last one stays. Where `folder` is a link, what it points to is replaced. What lies
    in it and is not ours, by its mark, is moved into the new one. All of the new one is on the disk
    before it gets its name.
    """
    folder = folder.resolve()
    staging = beside(folder, "partial")
    staging.mkdir(parents=True)
    try:
        yield staging
        _flush_all(staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    try:
        _put(staging, folder)
        flush(folder.parent)
    finally:
        _discard(staging, folder)


def clear_leftovers(folder: Path) -> None:
    """Removes what killed processes left behind of `replacing(folder)`.

    A folder that was taken away for a new one that never came is put back. Nobody else may be
    writing the folder: hold its lock. Files that a dead process had only begun are removed from it
    where it is ours, by its mark.
    """
    folder = folder.resolve()
    if not folder.parent.is_dir():
        return
    if read_mark(folder) is not None:
        for path in folder.rglob(".*.tmp"):
            remove_abandoned(path)
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
    if read_mark(path) is not None and foreign_files(path):
        if not folder.exists():
            path.rename(folder)
            return
        move_foreign_files(path, folder)
    shutil.rmtree(path, ignore_errors=True)


def _put(staging: Path, folder: Path) -> None:
    """The new folder in the place of the old one, which is in the place of the new one then."""
    if not folder.exists():
        staging.rename(folder)
    elif not _exchanged(staging, folder):
        retired = beside(folder, "old")
        folder.rename(retired)
        try:
            staging.rename(folder)
        except BaseException:
            with suppress(OSError):  # where it has its name already
                retired.rename(folder)
            raise
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


_BEFORE, _BETWEEN, _AFTER = b'{"checksum":"', b'","content":', b"}"
_DIGEST_BYTES = 16

T = TypeVar("T")


def write_record(path: Path, root: Path, name: str, data: Any, *, durable: bool = False) -> None:
    """Keeps plain data as JSON, with a checksum over it and the `name` that it goes by.

    The file holds all of it or what it held before. Unless it is `durable`, it may be lost in a
    crash of the machine, and then is not there.
    """
    with cache_scratch(root, path) as temporary:
        temporary.write_bytes(sealed(name, data))
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
    return unsealed(name, content(path))


def sealed(name: str, data: Any) -> bytes:
    """Plain data as JSON, with a checksum over it and the name that it goes by."""
    raw = orjson.dumps(data)
    return _BEFORE + _checksum(name, raw) + _BETWEEN + raw + _AFTER


def unsealed(name: str, found: bytes) -> Any:
    """The data that was `sealed` under that name; None where the bytes are anything else."""
    start = len(_BEFORE) + 2 * _DIGEST_BYTES + len(_BETWEEN)
    raw = found[start : -len(_AFTER)]
    if found != _BEFORE + _checksum(name, raw) + _BETWEEN + raw + _AFTER:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def is_file(path: Path, size: int) -> bool:
    """Whether a regular file of this size is there."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


@contextmanager
def cache_scratch(root: Path, path: Path) -> Iterator[Path]:
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


def content(path: Path) -> bytes:
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
