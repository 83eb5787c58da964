"""Runs the code of plugins so that what it does to the process ends with it."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, BinaryIO

from datachef.core.errors import DatachefError, PluginError, words_of
from datachef.core.escaping import indented

# Variables of the environment: which plugins are loaded, and how long each may take.
RESTRICT = "DATACHEF_PLUGINS"
PATIENCE = "DATACHEF_PLUGIN_SECONDS"

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
        _put_back(stdout, sys.stderr)
        if saved is not None:
            _flush_c_streams()
            os.dup2(saved, 1)
            os.close(saved)


# Streams that plugins put in the place of ours: where one wraps a stream of ours, it closes it as
# it goes away, and so it stays.
_REPLACED: list[Any] = []


def _put_back(stdout: Any, stderr: Any) -> None:
    """Makes these the standard streams again."""
    for found in (sys.stdout, sys.stderr):
        if found is None or any(found is known for known in (stdout, stderr, *_REPLACED)):
            continue
        with suppress(Exception):
            found.flush()
        _REPLACED.append(found)
    sys.stdout, sys.stderr = stdout, stderr


def _flush_c_streams() -> None:
    """C keeps what it prints to a pipe until the end; only who loads C code has ctypes loaded."""
    if "ctypes" in sys.modules:
        with suppress(OSError, AttributeError, TypeError):
            sys.modules["ctypes"].CDLL(None).fflush(None)


@contextmanager
def contained() -> Iterator[None]:
    """Leaves the process as it was: standard output, warnings, logging, the working folder, signal
    handlers and timers, the locale, the state of `random`, hooks for exceptions.

    What would end or double the process raises `SystemExit` instead, and an interrupt that is not
    the user's is a `RuntimeError`. Environment and modules are the plugin's to change.
    """
    logging = _root_logger()
    hooks = (sys.excepthook, threading.excepthook, sys.getrecursionlimit())
    with in_place(), _signals_kept(), _chance_kept(), refusing(_ENDS_PROCESS, _would_end):
        try:
            with stdout_to_stderr(), warnings.catch_warnings(), _own_interrupts():
                yield
        finally:
            sys.excepthook, threading.excepthook = hooks[:2]
            sys.setrecursionlimit(hooks[2])
            _restore_root_logger(logging)


@contextmanager
def in_place() -> Iterator[None]:
    """Leaves the working folder and the standard streams as they were."""
    folder, streams = None, (sys.stdout, sys.stderr)
    with suppress(OSError):  # it may have been deleted
        folder = os.getcwd()  # noqa: PTH109 - asked for every batch
    try:
        yield
    finally:
        _put_back(*streams)
        if folder is not None:
            with suppress(OSError):
                if os.getcwd() != folder:  # noqa: PTH109
                    os.chdir(folder)


_ENDS_PROCESS = ("_exit", "abort", "execv", "execve", "fork", "forkpty")


def _would_end(name: str) -> BaseException:
    return SystemExit(f"os.{name}() would end or double the process of chef")


@contextmanager
def refusing(names: Sequence[str], refusal: Callable[[str], BaseException]) -> Iterator[None]:
    """Functions of `os` that raise while the block runs, in this process and not in its children.

    Who keeps one of them has the real one again afterwards. Forks by `multiprocessing` and by
    `os.spawn*` stay: their children do what they are told and end.
    """
    active, process = [True], os.getpid()

    def refused(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if (
                active
                and os.getpid() == process
                and not (name == "fork" and _ends_its_child(sys._getframe(1)))
            ):
                raise refusal(name)
            return real(*arguments, **named)

        return call

    found = [
        (module, name, getattr(module, name))
        for module in (os, sys.modules.get("posix"))
        for name in names
        if hasattr(module, name)
    ]
    for module, name, real in found:
        setattr(module, name, refused(name, real))
    try:
        yield
    finally:
        active.clear()
        for module, name, real in found:
            setattr(module, name, real)


def _ends_its_child(frame: FrameType) -> bool:
    """Whether who forks is `multiprocessing`, or what stands in for it such as `multiprocess` of
    datasets, or a function of `os` itself."""
    name = str(frame.f_globals.get("__name__"))
    return name == "os" or name.endswith(".popen_fork")


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Tells the user's interrupt from one that a plugin raises, which is a `RuntimeError`."""
    pressed: list[bool] = []

    def press(*_: Any) -> None:
        pressed.append(True)
        raise KeyboardInterrupt

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield
    except KeyboardInterrupt as error:
        if pressed or (not ours and is_interrupt(error)):
            raise
        told = RuntimeError("it raised KeyboardInterrupt")
        raise told.with_traceback(error.__traceback__) from None
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


@contextmanager
def _signals_kept() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.getsignal(number)) for number in _SIGNALS]
    timer = signal.getitimer(signal.ITIMER_REAL)
    try:
        yield
    finally:
        if not any(timer):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _chance_kept() -> Iterator[None]:
    """Leaves the locale and the state of `random` as they were."""
    import locale
    import random

    state, place = random.getstate(), locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        random.setstate(state)
        if locale.setlocale(locale.LC_ALL) != place:
            locale.setlocale(locale.LC_ALL, place)


# Seconds after which it is said that code of a plugin takes long.
_NOTICE = 10.0
_leave = os._exit


@contextmanager
def bounded(what: str, patience: float | None) -> Iterator[None]:
    """Ends the process, and says what for, where the block takes longer than `patience` seconds.

    Nothing less ends an import that does not come to an end. None waits for ever, in silence.
    """
    if patience is None:
        yield
        return
    said = f"{what} does not come to an end ({patience:g} s)"
    hint = (
        f"{RESTRICT} restricts what is loaded, {PATIENCE} says for how long it may; "
        "`chef doctor` looks at each plugin by itself"
    )
    timers = [
        threading.Timer(_NOTICE, _say, [f"{what} takes long"]),
        threading.Timer(patience, _give_up, [f"error: {said}", f"hint: {hint}"]),
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    # Where compiled code holds the interpreter's lock, no thread of Python runs: this one does.
    faulthandler.dump_traceback_later(patience + 5, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        for timer in timers:
            timer.cancel()


def _say(*lines: str) -> None:
    with suppress(OSError):
        os.write(2, "".join(f"{indented(line)}\n" for line in lines).encode())


def _give_up(*lines: str) -> None:
    _say(*lines)
    _leave(PluginError.exit_code)


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
    words = " ".join(words_of(error).split())
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
