"""What the machine refuses, such as room on a disk or memory: what is such a failure, and how it is
told to people."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datachef.core.errors import DatachefError, RunError, UnavailableError, words_of

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
    errno.ENOMEM: (
        "there is not enough memory",
        "use fewer workers (--workers), end other programs, or raise the limit (--worker-memory, "
        "ulimit -v), "
        f"{_AGAIN}",
    ),
    errno.EAGAIN: (
        "no more processes or threads may be started",
        "raise the limit (ulimit -u), or use fewer workers",
    ),
}
# Errors that tell of the machine as it is now, and never of a row or of the file that is read.
_ENVIRONMENT = frozenset(
    (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE,
        errno.ENOMEM, errno.EIO, errno.EAGAIN, errno.ENOBUFS, errno.ENOLCK, errno.ESTALE,
        errno.ENODEV, errno.ENXIO,
    )
)  # fmt: skip
# How libraries tell of it without a number: by the module of the exception, the beginning of its
# words. What follows may be content of rows, which must not decide.
_TOLD = {
    "zlib": ((r"Error -4 while", errno.ENOMEM),),
    "zstandard": ((r"(?:zstd [\w ]+: )?Allocation error", errno.ENOMEM),),
    "orjson": ((r"Not enough memory", errno.ENOMEM),),
    "pyarrow": ((r"(?:malloc|realloc) of size|Out of memory", errno.ENOMEM),),
    "polars": ((r"(?i:out of memory|memory allocation|cannot allocate memory)", errno.ENOMEM),),
    "torch": ((r"(?:CUDA|XPU|MPS) (?:backend )?out of memory", errno.ENOMEM),),
    "builtins": (
        (r"can't start new thread$", errno.EAGAIN),
        (r"std::bad_alloc$|bad allocation$", errno.ENOMEM),
        (r"\[enforce fail at alloc_cpu", errno.ENOMEM),
    ),
}
_SQLITE = {7: errno.ENOMEM, 10: errno.EIO, 13: errno.ENOSPC}
# At the beginning of what a library in Rust says; its words are those of the system.
_RUST = re.compile(r"(?:[\w ]{1,40}: )?(?P<words>[\w ,/'-]{1,80}) \(os error (?P<number>\d+)\)")
_MOST_CAUSES = 16
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
    if isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if found := _IN_TEXT.search(words_of(error)):
        number = int(found[1])
        return OSError(number, os.strerror(number))
    return error if isinstance(error, OSError) else None


def environment_failure(error: BaseException) -> OSError | None:
    """The failure of the machine that an exception is, or was raised for: memory, disk space, open
    files, processes, a disk that cannot be read; None for anything else.

    Wherever an exception costs a row, a file or a plugin its good name, this is asked first: what
    the machine lacks ends the unit of work, and says nothing of what was in it. Exceptions that are
    raised for another are followed to it. Of the words of an exception only those count that its
    library begins with, never what a row may have put there.
    """
    for cause in causes(error):
        found = _of_environment(cause)
        if found is not None:
            return found
    return None


def raise_environment_failure(error: BaseException, path: str | None = None) -> None:
    """Raises the failure of the machine that an exception is or was raised for, where it is one, as
    `OSError` with the path, if one is given and it names none."""
    found = environment_failure(error)
    if found is None:
        return
    if path is not None and found.filename is None:
        found = OSError(found.errno, found.strerror, path)
    raise found from error


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was raised for or holds, up to a number."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_CAUSES:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting.append(cause.__cause__ or _context(cause))
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions


def _context(error: BaseException) -> BaseException | None:
    """What was being handled when an exception was raised, where that may be its reason: an error
    that the system numbers has its own."""
    numbered = isinstance(error, OSError) and error.errno is not None
    return None if numbered or error.__suppress_context__ else error.__context__


def _of_environment(error: BaseException) -> OSError | None:
    number = None
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    elif isinstance(error, OSError) and error.errno is not None:
        return error if error.errno in _ENVIRONMENT else None
    elif isinstance(error, Exception) and not isinstance(error, DatachefError):
        number = _number_told(error)
    return None if number is None else OSError(number, os.strerror(number))


def _number_told(error: Exception) -> int | None:
    """The number of an error of the machine that a library tells of in its own way."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _SQLITE.get(code & 0xFF)
    module = type(error).__module__.partition(".")[0]
    known = type(error) in (RuntimeError, Exception) if module == "builtins" else module in _TOLD
    if not known and not isinstance(error, OSError):
        return None
    words = words_of(error)[:200]
    for pattern, number in _TOLD.get(module, ()):
        if re.match(pattern, words):
            return number
    if (found := _RUST.match(words)) and found["words"] == os.strerror(int(found["number"])):
        number = int(found["number"])
        return number if number in _ENVIRONMENT else None
    return None


def explained(error: BaseException) -> DatachefError | None:
    """The same for people, in one line with a hint; None where it is no error of the system.

    It is an `UnavailableError` where the machine as it is now is to blame.
    """
    lacking = None if isinstance(error, DatachefError) else environment_failure(error)
    cause = lacking or system_error(error)
    if cause is None:
        return None
    kind = DatachefError if lacking is None else UnavailableError
    words, hint = _WORDS.get(cause.errno or 0, ("", ""))
    words = words or (cause.strerror or (words_of(cause).splitlines() or [""])[0] or "it failed")
    if cause.filename is None or isinstance(cause.filename, int):
        what = "" if cause.errno in (errno.ENOMEM, errno.EAGAIN) else "cannot read or write: "
        return kind(f"{what}{words}", hint)
    path = _shown(Path(os.fsdecode(cause.filename)))
    if cause.errno in (errno.ENOTDIR, errno.EEXIST) and (file := _file_in(path)):
        path, (words, hint) = file, _WORDS[errno.ENOTDIR]
    return kind(f"cannot use {path}: {words}", hint)


def _shown(path: Path) -> Path:
    """The path by which people know what is written under a hidden name first."""
    return Path(*(_HIDDEN.sub(r"\g<name>", part) for part in path.parts))


def _file_in(path: Path) -> Path | None:
    """The file that stands where a path wants a folder."""
    for part in (*reversed(path.parents), path):
        # os.path, since for pathlib a name that is too long is an error.
        if os.path.lexists(part) and not os.path.isdir(part):  # noqa: PTH112
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
        kind = type(found) if isinstance(found, RunError) else RunError
        raise kind(found.message, found.hint) from error
