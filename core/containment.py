"""Runs the code of plugins so that what it does to the process ends with it."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from datachef.core.errors import DatachefError

# What can end a call of a plugin's code; an interrupt is the user's.
ENDINGS = (Exception, SystemExit, GeneratorExit)


def is_interrupt(error: BaseException) -> bool:
    """Whether the user ends the process; where no interrupt can arrive, a plugin raised it."""
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return isinstance(error, KeyboardInterrupt) and not blocked


@contextmanager
def own_stdout() -> Iterator[BinaryIO]:
    """Standard output as it is now, which stays the same when it is sent elsewhere."""
    sys.stdout.flush()
    try:
        copy = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    except (OSError, ValueError):  # it is no file: a test or a notebook listens
        yield sys.stdout.buffer
        return
    with copy:
        yield copy


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Sends what is printed to standard error, also what C code writes to file descriptor 1."""
    stdout, saved = sys.stdout, None
    with suppress(OSError, ValueError, AttributeError):
        stdout.flush()
        saved = os.dup(1)
        os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout
        if saved is not None:
            _flush_c_streams()
            os.dup2(saved, 1)
            os.close(saved)


def _flush_c_streams() -> None:
    """C keeps what it prints to a pipe until the end; only who loads C code has ctypes loaded."""
    if "ctypes" in sys.modules:
        with suppress(OSError, AttributeError, TypeError):
            sys.modules["ctypes"].CDLL(None).fflush(None)


@contextmanager
def contained() -> Iterator[None]:
    """Leaves standard output, warnings, logging and the working folder as they were."""
    folder, logging = None, _root_logger()
    with suppress(OSError):  # it may have been deleted
        folder = Path.cwd()
    try:
        with stdout_to_stderr(), warnings.catch_warnings():
            yield
    finally:
        if folder is not None:
            with suppress(OSError):
                os.chdir(folder)
        _restore_root_logger(logging)


def _root_logger() -> tuple[list[Any], int | None, int]:
    logging = sys.modules.get("logging")
    if logging is None:
        return [], None, 0
    return list(logging.root.handlers), logging.root.level, logging.root.manager.disable


def _restore_root_logger(before: tuple[list[Any], int | None, int]) -> None:
    logging = sys.modules.get("logging")
    if logging is not None:
        handlers, level, disabled = before
        logging.root.handlers[:] = handlers
        logging.root.setLevel(logging.WARNING if level is None else level)
        logging.disable(disabled)


def cause_of(error: BaseException, place: Path | None = None) -> str:
    """An exception in one line, with the line of code under `place` that it came from."""
    if isinstance(error, DatachefError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    try:
        words = " ".join(str(error).split())
    except ENDINGS:
        words = "(it cannot be printed)"
    if len(words) > 500:
        words = f"{words[:500]}..."
    line = innermost(error.__traceback__, place) if place else ""
    told = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return f"{told} ({line})" if line else told


def innermost(trace: TracebackType | None, place: Path) -> str:
    """`file.py:12`, the innermost line of a traceback in a file or under a folder; or nothing."""
    found = ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(place):
            found = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
