"""Runs an untrusted program in a sandbox, and tests it from outside.

A program is run in one process, its tests in another, which asks the first for values: what the
answer prints, reads, patches or exits does not reach the verdict. Both are confined by
`core.system.confinement`, in a session of their own, in an empty folder that is deleted afterwards,
with no environment, no input or output and limits on time, memory, threads and disk. Where a layer
of isolation that is needed is missing, nothing is run unless the caller insists. It is no virtual
machine: a fault of the kernel is a way out.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from datachef.core.contracts.code_permission import UnconfinedError
from datachef.core.errors import DatachefError, UnavailableError
from datachef.core.system import confinement
from datachef.core.system.child_process import Child, start
from datachef.reward.metrics import channel, packing, remote

_CHILD = Path(__file__).with_name("sandbox_child.py")
# Not -I, which would ignore the hash seed: a test that depends on the order of a set has to end
# the same way each time.
_FLAGS = ("-s", "-B")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}
# What the processes load by path, in this order.
_MODULES = (confinement, remote, packing, channel)
_LOOK_EVERY = 0.05
_MOST_PARTS = 16


@dataclass(frozen=True)
class SandboxLimits:
    """What a program may use: seconds of processor time and of the clock, bytes of memory, of each
    file and of all, numbers of files and of threads.

    Processor time is what decides; the clock, which a busy machine distorts, stops what sleeps.
    """

    cpu_seconds: int = 30
    clock_seconds: float = 120.0
    memory: int = 2 << 30
    file_bytes: int = 16 << 20
    disk_bytes: int = 64 << 20
    files: int = 1000
    threads: int = 256


@dataclass(frozen=True)
class Program:
    """An answer, what stands before it and what comes after: the tests."""

    before: str
    answer: str
    after: str

    @property
    def text(self) -> str:
        return self.before + self.answer + self.after


@dataclass(frozen=True)
class ProgramResult:
    """How a program ended; `reason` is empty when it passed, else an exception or what ended it."""

    passed: bool
    reason: str = ""


def run_program(
    program: str, limits: SandboxLimits | None = None, *, unconfined: bool = False
) -> ProgramResult:
    """Runs Python source as `__main__`; it passes when, by its own account, it runs to its end.

    An exception, an exit before the end (with whatever status) and a limit are failures.
    `unconfined` runs it without isolation where there is none. Raises `UnconfinedError` otherwise,
    and `UnavailableError` on a system that cannot limit processes.
    """
    return run_tests(Program("", program, ""), limits, unconfined=unconfined)


def run_tests(
    program: Program,
    limits: SandboxLimits | None = None,
    *,
    gold: str = "",
    unconfined: bool = False,
) -> ProgramResult:
    """Runs the code before an answer and the answer in one process, and the tests in another.

    The tests see the names that are defined before the answer as they are there, and the others
    that the answer binds: values as copies, functions and objects as `remote.RemoteObject`. Names
    of builtins are the answer's only where the code `gold` binds them too, and what `gold` imports
    is imported for the tests. It passes when the tests run to their end. Raises what `run_program`
    raises, and `DatachefError` where the code before or after the answer is no Python by itself.
    """
    if os.name != "posix":
        raise UnavailableError(
            "running code needs limits on processes, which this system does not have",
            hint="evaluate on Linux or macOS",
        )
    with ExitStack() as stack:
        return _Run(limits or SandboxLimits(), unconfined, stack).of(program, gold)


@dataclass(frozen=True)
class _Part:
    """One of the two processes: its folder, and the job that is sent to it."""

    child: Child
    folder: Path
    job: dict[str, object]

    def tell(self, more: dict[str, object]) -> None:
        stream = self.child.stdin
        with suppress(BrokenPipeError):
            stream.write(json.dumps({**self.job, **more}).encode())
            stream.close()

    def layers(self, end: float) -> set[str] | None:
        """The isolation layers that it has put up; None where it has ended before."""
        told = _read(self.child.stdout.fileno(), end)
        return set(json.loads(told)) if told else None


class _Run:
    """One run of both processes; what they need is given back with the stack."""

    def __init__(self, limits: SandboxLimits, unconfined: bool, stack: ExitStack) -> None:
        self._limits = limits
        self._unconfined = unconfined
        self._stack = stack
        self._end = time.monotonic() + limits.clock_seconds
        self._open: set[int] = set()
        self._bounded_disk = False

    def of(self, program: Program, gold: str) -> ProgramResult:
        asked, asking = self._pipe()
        replied, replying = self._pipe()
        verdict, judging = self._pipe()
        tests = self._start(reading=replied, writing=asking, verdict=judging)
        answer = self._start(reading=asked, writing=replying)
        # Only the children hold their ends now, so that the end of one is seen by the other.
        for end in (asked, asking, replied, replying, judging):
            self._close(end)
        try:
            tests.tell({"part": "tests", **asdict(program), "gold": gold})
            answer.tell({"part": "answer"})
            for part in (tests, answer):
                self._check(part.layers(self._end))
            said = self._wait_for(verdict, (answer, tests))
        except _OverLimitError as error:
            return ProgramResult(False, str(error))
        return _outcome(said, answer.child, tests.child)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open.update(ends)
        for end in ends:
            self._stack.callback(self._close, end)
        return ends

    def _close(self, end: int) -> None:
        if end in self._open:
            self._open.remove(end)
            os.close(end)

    def _start(self, **pipes: int) -> _Part:
        folder = self._stack.enter_context(scratch_folder())
        child = start(
            [str(_CHILD)],
            flags=_FLAGS,
            environment={**_ENVIRONMENT, "TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            pass_fds=tuple(pipes.values()),
        )
        self._stack.callback(child.end)
        job = {
            **pipes,
            **asdict(self._limits),
            "folder": str(folder),
            "unconfined": self._unconfined,
            "modules": {module.__name__: module.__file__ for module in _MODULES},
        }
        return _Part(child, folder, job)

    def _check(self, standing: set[str] | None) -> None:
        """A process that ended before it reported its isolation layers has run nothing."""
        if standing is None:
            return
        self._bounded_disk = confinement.DISK in standing
        if not self._unconfined and any(layer not in standing for layer in confinement.NEEDED):
            raise UnconfinedError(" and ".join(w for w in confinement.NEEDED if w not in standing))

    def _wait_for(self, verdict: int, parts: tuple[_Part, ...]) -> bytes:
        """What the tests say in the end; nothing where they end without a word."""
        with selectors.DefaultSelector() as ready:
            ready.register(verdict, selectors.EVENT_READ)
            while not ready.select(_LOOK_EVERY):
                if time.monotonic() > self._end:
                    raise _OverLimitError("too much time")
                for part in parts:
                    self._look_at(part.child.process.pid, part.folder)
        return _read(verdict, self._end)

    def _look_at(self, process: int, folder: Path) -> None:
        with suppress(OSError):
            if len(os.listdir(f"/proc/{process}/task")) > self._limits.threads:  # noqa: PTH208
                raise _OverLimitError("too many threads")
        limits = self._limits
        # A disk in memory has bounds of its own.
        if not self._bounded_disk and not within(folder, process, limits.disk_bytes, limits.files):
            raise _OverLimitError("too much on the disk")


class _OverLimitError(Exception):
    """A process is to be ended."""


def _outcome(said: bytes, answer: Child, tests: Child) -> ProgramResult:
    """The verdict, or what ended the process that is to blame for there being none."""
    verdict: dict[str, Any] = {"passed": False, "reason": "", "fault": "", "broken": False}
    with suppress(ValueError):  # of a verdict that is cut short
        verdict |= json.loads(said)
    if verdict["fault"]:
        raise DatachefError(
            f"an item cannot be made into a program: {verdict['fault']}",
            hint="its answer has to be whole statements, before which and after which stand others",
        )
    if verdict["passed"]:
        return ProgramResult(True)
    if verdict["reason"] and not verdict["broken"]:
        return ProgramResult(False, verdict["reason"])
    child = answer if said else tests
    with suppress(subprocess.TimeoutExpired):
        child.process.wait(1)
    status = child.end()
    if status == -signal.SIGXCPU:
        return ProgramResult(False, "too much processor time")
    return ProgramResult(False, f"ended early with status {status}")


def _read(descriptor: int, end: float) -> bytes:
    """What comes until the other end is closed, or is there when time is up; the first of much."""
    parts: list[bytes] = []
    with selectors.DefaultSelector() as ready:
        ready.register(descriptor, selectors.EVENT_READ)
        while ready.select(max(0.0, end - time.monotonic())):
            part = os.read(descriptor, 1 << 16)
            if not part or len(parts) == _MOST_PARTS:
                break
            parts.append(part)
    return b"".join(parts)


_MOST_FOLDERS = 256
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that is gone afterwards, whatever was put there."""
    folder = Path(tempfile.mkdtemp(prefix="datachef-"))
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Removes a folder, however deep it is and whatever modes its parts have, as far as possible.

    Folders inside are moved up before they are emptied, so that no path gets long and nothing
    recurs. Links are removed, not followed. No process may write there meanwhile.
    """
    moved = count()
    folders = [folder]
    with tempfile.TemporaryDirectory(
        prefix=f"{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
    ) as beside:
        while folders:
            place = folders.pop()
            with suppress(OSError):
                place.chmod(0o700)
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            os.chmod(entry.path, 0o700)  # noqa: PTH101 - there may be very many
                            target = Path(beside, str(next(moved)))
                            os.rename(entry.path, target)  # noqa: PTH104
                            folders.append(target)
                        else:
                            os.unlink(entry.path)  # noqa: PTH108
                place.rmdir()
    shutil.rmtree(folder, ignore_errors=True)  # what could not be moved, if anything


def within(folder: Path, process: int, disk_bytes: int, files: int) -> bool:
    """Whether what a process has put into a folder, or has open and removed, keeps to its bounds.

    Folders that cannot be looked into, and very many of them, do not.
    """
    size = found = 0
    with suppress(OSError), os.scandir(f"/proc/{process}/fd") as descriptors:
        for descriptor in descriptors:
            with suppress(OSError):
                held = descriptor.stat()
                size += held.st_blocks * 512 if held.st_nlink == 0 else 0
    left = [os.open(folder, os.O_RDONLY)]
    try:
        while left and size <= disk_bytes and found <= files and len(left) <= _MOST_FOLDERS:
            place = left.pop()
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        found += 1
                        with suppress(FileNotFoundError):
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
                            if entry.is_dir(follow_symlinks=False):
                                left.append(os.open(entry.name, _OPEN_FOLDER, dir_fd=place))
            finally:
                os.close(place)
        return not left and size <= disk_bytes and found <= files
    except OSError:
        return False
    finally:
        for place in left:
            os.close(place)
