"""What the operating system refuses, such as a full disk, in words for people."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datachef.core.errors import DatachefError, RunError

_ELSEWHERE = "choose another folder (--output, --cache)"
_AGAIN = "and run it again: what is done stays done"
_SPACE = f"free some space or {_ELSEWHERE}, {_AGAIN}"
_WORDS = {
    errno.ENOSPC: ("no space is left on the disk", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: (
        "the file becomes larger than is allowed here",
        f"raise the limit (ulimit -f), {_AGAIN}",
    ),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.EACCES: ("permission denied", f"get the permission, or {_ELSEWHERE}"),
    errno.EPERM: ("it is not permitted", f"get the permission, or {_ELSEWHERE}"),
    errno.ENOENT: (
        "no such file or folder",
        "check the name; relative ones count from the working directory",
    ),
    errno.EEXIST: ("it is there already", "move it away, or choose another name"),
    errno.ENOTDIR: ("it is a file where a folder is needed", "choose another name"),
    errno.EISDIR: ("it is a folder where a file is needed", "name a file"),
    errno.ENOTEMPTY: ("the folder is not empty", "does something else write into it? run again"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.ELOOP: ("its links lead in a circle", "name the file itself"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n), or use fewer workers"),
    errno.ENFILE: ("too many files are open on this machine", "close other programs"),
    errno.EIO: ("the disk reports an error", "look into the log of the system"),
}
# Of `atomic` and `lock`.
_HIDDEN = re.compile(r"^\.(?P<name>.+)\.([0-9a-f]{32}\.(tmp|partial|old)|lock)$")
# How libraries in Rust tell of an error of the system: polars, safetensors, tokenizers.
_IN_TEXT = re.compile(r"\(os error (\d+)\)")


def system_error(error: BaseException) -> OSError | None:
    """The error of the system that this is, or that a library reports in words of its own."""
    if isinstance(error, DatachefError | BrokenPipeError):
        return None  # told in words already, or nobody is listening
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if found := _IN_TEXT.search(str(error)):
        number = int(found[1])
        return OSError(number, os.strerror(number))
    return error if isinstance(error, OSError) else None


def explained(error: BaseException) -> DatachefError | None:
    """The same for people, in one line with a hint; None where it is no error of the system."""
    cause = system_error(error)
    if cause is None:
        return None
    words, hint = _WORDS.get(cause.errno or 0, ("", ""))
    words = words or (cause.strerror or (str(cause).splitlines() or [""])[0] or "it failed")
    if cause.filename is None or isinstance(cause.filename, int):
        return DatachefError(f"cannot read or write: {words}", hint)
    path = _shown(Path(os.fsdecode(cause.filename)))
    if cause.errno in (errno.ENOTDIR, errno.EEXIST) and (file := _file_in(path)):
        path, (words, hint) = file, _WORDS[errno.ENOTDIR]
    return DatachefError(f"cannot use {path}: {words}", hint)


def _shown(path: Path) -> Path:
    """The path by which people know what is written under a hidden name first."""
    return Path(*(_HIDDEN.sub(r"\g<name>", part) for part in path.parts))


def _file_in(path: Path) -> Path | None:
    """The file that stands where a path wants a folder."""
    for part in (*reversed(path.parents), path):
        if os.path.isfile(part):  # noqa: PTH113 - a name that is too long is no file either
            return part
    return None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the path to an error of the system that names none: writing to an open file does not."""
    try:
        yield
    except Exception as error:
        cause = system_error(error)
        if cause is None or cause.filename is not None or cause.errno is None:
            raise
        raise OSError(cause.errno, os.strerror(cause.errno), str(path)) from error


@contextmanager
def ending_runs() -> Iterator[None]:
    """An error of the system ends a run as other failures do. Raises `RunError` for it."""
    try:
        yield
    except Exception as error:
        found = explained(error)
        if found is None:
            raise
        raise RunError(found.message, found.hint) from error
