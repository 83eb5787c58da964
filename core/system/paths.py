"""Local files: how a path is understood and told from a URL, and what tells one content of a file
from another."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from datachef.core.errors import ChangedInputError, DatachefError
from datachef.core.escaping import is_whole, shown
from datachef.core.system.failures import raise_environment_failure

_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")
_PATH_ARGUMENT = re.compile(r"(-\w|--[\w-]+=)?(~.*)", re.DOTALL)
# A URL as its protocol and the rest; what joins several; protocols of files on this machine.
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
CHAIN = "::"
LOCAL = ("file", "local")
# What names the cache: a folder, or a URL.
CACHE = "DATACHEF_CACHE"


def is_url(path: str) -> bool:
    return "://" in path


def as_path(path: str) -> str:
    """A URL of one of this machine's files as its path; anything else as it is."""
    found = URL.fullmatch(path)
    here = found is not None and found[1].lower() in LOCAL and CHAIN not in path
    return found[2] if here and found is not None else path


def expanded(name: str | Path) -> Path:
    """The path, with `~` or `~user` at its beginning as that person's home folder.

    Nothing else is replaced: variables, patterns and a `~` of nobody stand for themselves.
    """
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises where there is nobody


def default_cache() -> Path:
    """The folder of `DATACHEF_CACHE`; `.datachef` in the working folder, where it names none."""
    named = as_path(os.environ.get(CACHE) or "")
    return expanded(named if named and not is_url(named) else ".datachef").absolute()


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


BLOCK = 64 * 2**10
# Two changes of a file within one tick of the system's clock have the same time.
TICK_SECONDS = 0.02

# Files that a result depends on, by path, each with its identity as `path_identity` told it.
Files = Mapping[str, Any]


def file_identity(path: str | Path) -> str:
    """Changes whenever a local file holds something else; the path is no part of it.

    A file of up to two blocks is read as a whole, and nothing but its content counts. Of a larger
    one the size, the first and the last block, and the times count, with the time of the last
    change of its inode, which nothing sets back: a file that is rewritten in its middle and given
    its old date is seen, and so is one that is only copied or renamed. The number of the inode is
    no part of it: some network file systems give a file another one on every machine. Raises
    `OSError`.
    """
    with open(path, "rb") as stream:  # noqa: PTH123 - thousands at the start of a run
        status = os.fstat(stream.fileno())
        if status.st_size > 2 * BLOCK and 0 <= time.time() - status.st_ctime < TICK_SECONDS:
            # what changes it from now on shall have another time
            time.sleep(TICK_SECONDS)
            status = os.fstat(stream.fileno())
        digest = blake2b(stream.read(BLOCK), digest_size=16)
        if status.st_size > BLOCK:
            stream.seek(max(BLOCK, status.st_size - BLOCK))
            digest.update(stream.read(BLOCK))
    identity = f"{status.st_size}-{digest.hexdigest()}"
    if status.st_size <= 2 * BLOCK:
        return identity
    return f"{identity}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def path_identity(path: str | Path, without: Collection[str] = ()) -> list[list[str]]:
    """The identity of a file, or of every file of a folder by its path within; nothing where there
    is neither. A file of a folder that may not be read is known by its size and times. Subfolders
    of the names in `without` are no part of it."""
    place = Path(path)
    try:
        if stat.S_ISREG(place.stat().st_mode):
            return [["", file_identity(place)]]
        files = sorted(inner for inner in _inside(place, without) if inner.is_file())
        return [[str(inner.relative_to(place)), _identity_within(inner)] for inner in files]
    except OSError as error:
        raise_environment_failure(error, str(path))
        return []


def _identity_within(path: Path) -> str:
    try:
        return file_identity(path)
    except PermissionError:
        status = path.stat()
        return f"{status.st_size}-unread-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _inside(folder: Path, without: Collection[str]) -> Iterator[Path]:
    """What lies in a folder and in those below it, also behind links; no folder is met twice."""
    met = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in names)
        wanted = sorted(set(folders) - set(without))
        fresh = {name: os.path.realpath(os.path.join(place, name)) for name in wanted}  # noqa: PTH118 - as `walk` has it
        folders[:] = [name for name, real in fresh.items() if real not in met]
        met.update(fresh.values())


def verify_file(path: str | Path, identity: str) -> tuple[int, ...]:
    """What `os.stat` tells of a file, for a comparison with an earlier answer of the same process:
    so is noticed a file that changes and then changes back.

    Raises `ChangedInputError` where its identity is another, or it cannot be read any more.
    """
    try:
        same = file_identity(path) == identity
        status = os.stat(path)  # noqa: PTH116 - thousands at the end of a run
    except FileNotFoundError:
        raise ChangedInputError(f"{path}: it is gone") from None
    except OSError as error:
        raise_environment_failure(error, str(path))
        raise ChangedInputError(f"{path}: it cannot be read any more: {error.strerror}") from error
    if not same:
        raise ChangedInputError(f"{path}: it changed after the run was planned")
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def verify_files(files: Files) -> None:
    """Raises `ChangedInputError` where one of the files or folders is another than was planned."""
    for path, identity in files.items():
        if path_identity(path) != identity:
            raise ChangedInputError(f"{path}: it changed after the run was planned")


def checksum(path: Path) -> str:
    """The BLAKE2b-128 digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=16)).hexdigest()


def content_checksum(raw: bytes) -> str:
    """The `checksum` of a file with this content."""
    return blake2b(raw, digest_size=16).hexdigest()
