"""Child processes of ours, all started in one way: isolated, limited, and gone with their parent.

Imported, this module starts them. Run as a script it is what each of them runs first: it takes the
limits on and then becomes the program. It needs the standard library alone, so that a child can.

A child dies with its parent, however that dies and whatever the child is doing: on Linux the kernel
kills it (`PR_SET_PDEATHSIG`), elsewhere a thread of its own watches. Whatever the child started in
turn is in its process group, which a small process beside us, the reaper, ends after us.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from typing import IO, Any, ParamSpec, TypeVar

T = TypeVar("T")

_REAP = "--reap"
_SLACK = 2 << 30
_leave = os._exit  # `containment` has plugins do without it


def start(
    program: Sequence[str],
    *,
    memory: int | None = None,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **popen: Any,
) -> Child:
    """Starts a Python program, `["-m", module]` or `[file]`, in a session of its own.

    The working folder is not on its path. `memory` bounds the bytes that it allocates; `flags` go
    to the interpreter, and everything else to `subprocess.Popen`.
    """
    limits = [str(os.getpid()), str(memory or 0)]
    command = [sys.executable, "-P", *flags, __file__, *limits, *program]

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, start_new_session=True, **popen)

    process = from_lasting_thread(begin)
    _watch("+", process.pid)
    return Child(process)


class Child:
    """A process that `start` started; `end` it, or it ends with this one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def stdin(self) -> IO[bytes]:
        """Where the process reads. Raises `ValueError` where it was started without this pipe."""
        return _piped(self.process.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """What the process writes. Raises `ValueError` as `stdin` does."""
        return _piped(self.process.stdout)

    @property
    def stderr(self) -> IO[bytes]:
        """What the process reports. Raises `ValueError` as `stdin` does."""
        return _piped(self.process.stderr)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None and self.process.poll() is None

    def end(self) -> int:
        """Kills it with all that it started, where it still runs, and gives its exit status."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        _watch("-", self.process.pid)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        return status


def _piped(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def begin(parent: int, memory: int = 0) -> None:
    """The first thing in a child: binds its life to that of the process `parent`, which started it,
    and bounds the bytes that it allocates.

    The bound is `RLIMIT_DATA`, which counts what may be written to; polars and torch reserve far
    more addresses than they use, so that `RLIMIT_AS` would end them.
    """
    if sys.platform.startswith("linux"):
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_wait_for_end_of, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
    if memory:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        bound = memory if most == resource.RLIM_INFINITY else min(memory, most)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (bound, most))


def _wait_for_end_of(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    _leave(1)


def machine_memory() -> int:
    """The bytes that one process may sensibly allocate: all memory of the machine or container, and
    a little for what is reserved and never used."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as limit:  # noqa: PTH123 - pathlib is slow to load
        total = min(total, int(limit.read()))
    return total + _SLACK


class _Lasting(threading.Thread):
    """A thread that lives as long as the process and calls what it is given."""

    def __init__(self) -> None:
        import queue

        super().__init__(name="starts child processes", daemon=True)
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.process = os.getpid()

    def run(self) -> None:
        while True:
            self.calls.get()()


_LASTING: list[_Lasting] = []
_LOCK = threading.Lock()


def from_lasting_thread(function: Callable[[], T]) -> T:
    """What a function returns or raises when a thread calls it that ends with the process alone.

    To the kernel the parent of a process is the thread that started it: a child that was started
    from a thread of a pool would be killed when the pool ends.
    """
    if threading.current_thread() is threading.main_thread():
        return function()
    with _LOCK:
        if not _LASTING or _LASTING[0].process != os.getpid():  # threads do not survive a fork
            _LASTING[:] = [_Lasting()]
            _LASTING[0].start()
    done = threading.Event()
    result: list[T] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            result.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            raised.append(error)
        done.set()

    _LASTING[0].calls.put(call)
    done.wait()
    if raised:
        raise raised[0]
    return result[0]


_GROUPS: set[int] = set()
# Who started the reaper, and the end of the pipe that it reads: the other end is ours alone.
_REAPER: list[tuple[int, int]] = []


def _watch(sign: str, group: int) -> None:
    """Tells the reaper to end a process group after us, or that it has ended."""
    with _LOCK:
        ours = bool(_REAPER) and _REAPER[0][0] == os.getpid()
        if not ours:
            _GROUPS.clear()  # those are of the process that we were forked from
        (_GROUPS.add if sign == "+" else _GROUPS.discard)(group)
        try:
            if not ours:
                raise BrokenPipeError
            _tell(f"{sign}{group}\n")
        except OSError:
            if _GROUPS:
                _start_reaper()
                _tell("".join(f"+{known}\n" for known in sorted(_GROUPS)))


def _tell(text: str) -> None:
    os.write(_REAPER[0][1], text.encode())


def _start_reaper() -> None:
    command = [sys.executable, "-I", "-S", __file__, _REAP]
    nothing = subprocess.DEVNULL
    reading, writing = os.pipe()
    process = subprocess.Popen(
        command, stdin=reading, stdout=nothing, stderr=nothing, start_new_session=True
    )
    os.close(reading)
    process.returncode = 0  # it outlives us, on purpose
    if _REAPER and _REAPER[0][0] == os.getpid():
        os.close(_REAPER[0][1])
    _REAPER[:] = [(os.getpid(), writing)]


def _reap() -> None:
    """Reads which groups there are until whoever writes is gone, then ends those that are left."""
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _main(arguments: list[str]) -> None:
    if arguments == [_REAP]:
        _reap()
        return
    begin(int(arguments[0]), int(arguments[1]))
    program = arguments[2:]
    import runpy

    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    _main(sys.argv[1:])


P = ParamSpec("P")

_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
_SAFE_PATH = "PYTHONSAFEPATH"


class ProcessPool(ProcessPoolExecutor):
    """Fresh processes, each with one thread for sums: the processes are the parallelism.

    Like `start` of `child_process`, they are bound to the life of this process, bounded in memory,
    and do not have the working folder on their path. Functions must be importable.
    """

    def __init__(
        self, workers: int, initializer: Callable[..., object] | None = None, *arguments: Any
    ) -> None:
        super().__init__(
            workers,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(), initializer, arguments),
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Also where the processes are started, one by one as there is work."""
        return from_lasting_thread(partial(self._submit, fn, *args, **kwargs))

    def _submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        before = {name: os.environ.get(name) for name in (*_ONE_THREAD, _SAFE_PATH)}
        # Read when an interpreter and its libraries start, before any initializer could be called.
        os.environ.update({name: before[name] or "1" for name in before})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]


def _begin(parent: int, initializer: Callable[..., object] | None, arguments: Any) -> None:
    begin(parent, machine_memory())
    if initializer is not None:
        initializer(*arguments)


# A sign of life that says nothing new is given at most so often.
_PAUSE = 1.0
LOADING = "loading plugins"


class Activity:
    """Tells a listener what is being done, when it changes and from time to time."""

    def __init__(self) -> None:
        self._listener: Callable[[str], None] | None = None
        self._what = ""
        self._told = 0.0
        self._lock = threading.Lock()

    def listen(self, listener: Callable[[str], None] | None) -> None:
        """Gives `listener` what is done from now on; None ends it."""
        self._listener = listener

    def begin(self, what: str) -> None:
        """Says what is being done from now on."""
        if self._listener is None:
            return
        with self._lock:
            now = time.monotonic()
            if what == self._what and now - self._told < _PAUSE:
                return
            self._what, self._told = what, now
            self._listener(what)

    def goes_on(self) -> None:
        """What takes long without an end in sight is getting somewhere; from any thread."""
        self.begin(self._what)


ACTIVITY = Activity()
