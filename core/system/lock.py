"""Locks that let one process at a time write a folder, and say which one it is."""

from __future__ import annotations

import errno
import getpass
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import orjson

from datachef.core.errors import RunError, UnavailableError
from datachef.core.system.atomic import clear_leftovers
from datachef.core.system.backoff import Backoff

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_SHOWN = 200
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_LOOKS = 100
_MOMENTS = 5
_BEGINNING = b'{"pid":'

_HELD: set[int] = set()


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; `boot` tells a machine whatever its containers are called."""

    pid: int
    host: str
    boot: str
    command: str
    since: str
    user: str = ""

    @classmethod
    def this(cls) -> Holder:
        """This process."""
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:_SHOWN]
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(os.getpid(), socket.gethostname(), _boot(), command, since, _user())

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname() or (self.boot != "" and self.boot == _boot())

    @property
    def is_alive(self) -> bool:
        """Whether a process of its number runs on this machine."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        user = f" of {self.user}" if self.user else ""
        return f"process {self.pid} on {self.host}{user} ({self.command}, since {self.since})"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from writing `folder`, and clears what killed ones left of it.

    Raises `UnavailableError` at once, naming the holder, where another process has it. The lock is
    one of the system (`flock`) on the hidden file `.NAME.lock` beside the folder, so that it ends
    with its process however that dies. The file names the holder: on file systems that do not carry
    locks from one machine to another, it is what tells. What another machine left there stays
    until it is deleted, since nobody here can know whether its process lives.
    """
    folder = folder.resolve()
    path = _lock_of(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquired(path, folder)
    with _held(path, descriptor):
        clear_leftovers(folder)
        yield


def holder_of(folder: Path) -> Holder | None:
    """Who has `folder` locked now, as far as that can be told from here; None for nobody."""
    path = _lock_of(folder.resolve())
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        free, sure = _try(descriptor, shared=True)
        holder = _read(descriptor, path)
        return None if free and (holder is None or _is_gone(holder, sure)) else holder
    finally:
        os.close(descriptor)


@contextmanager
def alone(path: Path, stop: threading.Event) -> Iterator[None]:
    """Lets one process and thread at a time make the file `path`; the others wait for it.

    They look whether it is there when they get in. Once `stop` is set, nobody waits: they get in.
    Where the file system has no locks, several may get in together.
    """
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while (descriptor := _tried(lock)) is None and not stop.wait(backoff.next_delay()):
        pass
    if descriptor is None:
        yield
        return
    with _held(lock, descriptor):
        yield


@contextmanager
def _held(lock: Path, descriptor: int) -> Iterator[None]:
    """Keeps a lock that was taken, and gives it back."""
    _HELD.add(descriptor)
    try:
        yield
    finally:
        # While it is held: whoever takes the lock next makes a file of his own.
        with suppress(OSError):
            lock.unlink()
        _HELD.discard(descriptor)
        os.close(descriptor)


def _tried(lock: Path) -> int | None:
    """The lock, open, where nobody else has it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if _try(descriptor)[0] and _is(lock, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _acquired(path: Path, folder: Path) -> int:
    said = orjson.dumps(asdict(Holder.this()))
    while True:
        if path.is_symlink():
            raise _no_lock(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            free, sure = _try_for_a_moment(descriptor)
            holder = _read(descriptor, path)
            if not free and holder is None:
                holder = _named_soon(descriptor, path)
            if not free or (holder is not None and not _is_gone(holder, sure)):
                raise _refusal(folder, path, holder)
            if _is(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, said, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has just gone, and the file with him


def _try_for_a_moment(descriptor: int) -> tuple[bool, bool]:
    """What `_try` says, once nobody looks any more who holds the lock."""
    free, sure = _try(descriptor)
    for _ in range(0 if free else _MOMENTS):
        time.sleep(_FIRST_PAUSE)
        free, sure = _try(descriptor)
        if free:
            break
    return free, sure


def _try(descriptor: int, *, shared: bool = False) -> tuple[bool, bool]:
    """Whether the lock was free and is ours now; and whether the file system can tell."""
    import fcntl

    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False, True
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return True, False
    return True, True


def _is_gone(holder: Holder, sure: bool) -> bool:
    """Whether a holder who is named in a file that nobody has locked is dead."""
    return holder.is_here and (sure or not holder.is_alive)


def _read(descriptor: int, path: Path) -> Holder | None:
    """Whom the file names; None for a new one. Raises `RunError` for a file of somebody else."""
    raw = os.pread(descriptor, 4096, 0)
    if raw[: len(_BEGINNING)] != _BEGINNING[: len(raw)]:
        raise _no_lock(path)
    try:
        return Holder(**orjson.loads(raw))
    except (orjson.JSONDecodeError, TypeError):
        return None  # its holder died while writing it


def _named_soon(descriptor: int, path: Path) -> Holder | None:
    """Whom the file of a lock names that was just taken: the name is written after that."""
    for _ in range(_LOOKS):
        time.sleep(_FIRST_PAUSE)
        if (holder := _read(descriptor, path)) is not None:
            return holder
    return None


def _no_lock(path: Path) -> RunError:
    return RunError(f"{path} is not a lock of datachef", "move it away, or choose another output")


def _is(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(folder: Path, path: Path, holder: Holder | None) -> UnavailableError:
    hint = "wait until it has ended, or choose another output"
    if holder is not None and not holder.is_here:
        hint = f"where that process is gone, delete {path}"
    return UnavailableError(f"{folder} is being written by {holder or 'another process'}", hint)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for the number
        return str(os.getuid())


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _close_in_child() -> None:
    """A forked child has no part in the locks of its parent, which end with the parent."""
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_close_in_child)
