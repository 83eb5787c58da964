"""A worker process of the local engine, and the `Worker` by which the engine starts and watches it.

The process reads work items as lines of JSON from standard input, and writes answers as lines of
JSON to standard output.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from datachef.core.contracts.engine import WorkerConfig, WorkItem
from datachef.core.errors import DatachefError, PluginError, RunError, kind_of, words_of
from datachef.core.escaping import escaped
from datachef.core.run.time_limit import SIGNAL, Call, Overdue
from datachef.core.system.child_process import ACTIVITY, LOADING, machine_memory, start
from datachef.core.system.containment import refusing

_LAST_SECONDS = 10.0
_LAST_LINES = 30
_LONGEST_LINE = 2**16
_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"}
_MEMORY_HINT = (
    "fewer workers leave each more memory (--workers), and --worker-memory says how much one may "
    "have; what is done stays done"
)
_STALL_HINT = (
    "this step hangs on a row, or is only slow: raise --stall-limit for a slow step; what is done "
    "stays done"
)
_NO_MEMORY = re.compile(
    r"memory allocation of \d+ bytes failed|bad_alloc|MemoryError|[Cc]annot allocate memory"
    r"|out of memory",
)
_STATES = {
    "T": "is stopped (kill -CONT {pid} lets it go on)",
    "t": "is stopped by a debugger",
    "R": "computes",
    "D": "waits for a disk or a network drive",
    "Z": "has ended",
}
_leave = os._exit


class WorkerDiedError(Exception):
    """A worker process ended without an answer: the cause in words, and what to do about it.

    `late` is the call that used up the time that a call may take, where that ended the process.
    """

    def __init__(self, cause: str, hint: str, late: Call | None = None) -> None:
        super().__init__(cause)
        self.hint = hint
        self.late = late


class Worker:
    """One process and the conversation with it.

    `last_seen` is when it last gave a sign of life (`time.monotonic`), `doing` what it was at then,
    `item` what it works on, None where it is idle. First it is `loading` plugins.
    """

    def __init__(self, config: WorkerConfig, call_limit: float | None) -> None:
        # One thread per worker: the workers are the parallelism.
        environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.item: WorkItem | None = None
        self.last_seen = time.monotonic()
        self.doing = LOADING
        self.loading = True
        self._ended_for = ""
        self._out_of_memory = _kills_for_memory()
        self._child = start(
            ["-m", "datachef.core.run.worker"],
            memory=config.memory or machine_memory(),
            environment=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._process = self._child.process
        self._last_words: deque[str] = deque(maxlen=_LAST_LINES)
        self._relay = threading.Thread(target=self._relayed, daemon=True)
        self._relay.start()
        start_data = {**asdict(config), "cache": str(config.cache), "call_limit": call_limit}
        self._send(start_data)

    @property
    def pid(self) -> int:
        return self._process.pid

    def perform(self, item: WorkItem, overdue: Overdue, events: queue.Queue[Any]) -> dict[str, Any]:
        """The answer to a work item: its record, or an error. Raises `WorkerDiedError`."""
        self.last_seen, self.item = time.monotonic(), item
        try:
            return self._answer(item, overdue, events)
        finally:
            self.item = None

    def _answer(self, item: WorkItem, overdue: Overdue, events: queue.Queue[Any]) -> dict[str, Any]:
        self._send({**item.to_data(), "overdue": overdue.to_data()})
        call = None
        for line in self._child.stdout:
            self.last_seen = time.monotonic()
            answer: dict[str, Any] = orjson.loads(line)
            if "doing" in answer:
                self.doing = answer["doing"]
                self.loading = self.doing == LOADING
            elif "call" in answer:
                call = Call(*answer["call"])
            elif "rows" in answer and "bytes" in answer:
                events.put((item.label, answer["bytes"], answer["rows"]))
            else:
                return answer
        with suppress(subprocess.TimeoutExpired):  # what ended it, not how we make sure of it
            self._process.wait(_LAST_SECONDS)
        status = self._child.end()
        self._relay.join(_LAST_SECONDS)
        words = "\n".join(self._last_words)
        for_memory = _kills_for_memory() > self._out_of_memory
        cause, hint = self._stalled or why_it_ended(status, words, for_memory)
        raise WorkerDiedError(cause, hint, call if status == -SIGNAL else None)

    @property
    def _stalled(self) -> tuple[str, str] | None:
        return (self._ended_for, _STALL_HINT) if self._ended_for else None

    def state(self) -> str:
        """What the system says that the process does, in words."""
        return _STATES.get(_state(self.pid), "waits").format(pid=self.pid)

    def end_for(self, cause: str) -> None:
        """Kills the process; `perform` raises `WorkerDiedError` with this cause."""
        self._ended_for = cause
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self._child.end()

    def _send(self, data: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):
            self._child.stdin.write(orjson.dumps(data) + b"\n")
            self._child.stdin.flush()

    def _relayed(self) -> None:
        """Passes on what the process prints to standard error: untrusted rows may be in it."""
        stream = self._child.stderr
        with suppress(ValueError, OSError):  # it is closed as the worker ends
            for raw in iter(partial(stream.readline, _LONGEST_LINE), b""):
                line = escaped(_left_standing(raw.decode(errors="replace")))
                self._last_words.append(line)
                with suppress(ValueError, OSError, AttributeError):
                    print(line, file=sys.stderr, flush=True)


def _left_standing(line: str) -> str:
    """What a terminal would show of a line at last: bars are drawn over themselves."""
    return next((part for part in reversed(line.rstrip("\n").split("\r")) if part.strip()), "")


def _state(pid: int) -> str:
    """The letter of a process's state; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _kills_for_memory() -> int:
    """How many processes the system has killed because memory ran out, where it counts them."""
    for file in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with suppress(OSError, ValueError):
            for line in Path(file).read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    return 0


def why_it_ended(status: int, last_words: str, for_memory: bool) -> tuple[str, str]:
    """Why a process ended with this exit status, and what to do about it."""
    name = _signal_name(status)
    if found := _NO_MEMORY.search(last_words):
        return f"it ran out of memory ({found[0]})", _MEMORY_HINT
    if name == "SIGKILL" and for_memory:
        return "the system killed it (SIGKILL), as memory ran out", _MEMORY_HINT
    if name == "SIGKILL":
        return (
            "it was killed (SIGKILL), by a user, or by the system when memory ran out",
            f"if it was for memory: {_MEMORY_HINT}",
        )
    if name in _CRASHES:
        return (
            f"it crashed ({name})",
            "a library in native code that one of these steps uses has a bug; its place is printed "
            "above; what is done stays done",
        )
    if name:
        return (
            f"it was ended by {name}",
            "another program ended it; run again, what is done stays done",
        )
    return (
        f"it ended with exit code {status}",
        "one of these steps ended the whole process: report this to its author",
    )


def _signal_name(status: int) -> str:
    """The signal that ended a process; empty where it ended by itself."""
    try:
        return signal.Signals(-status).name if status < 0 else ""
    except ValueError:
        return f"signal {-status}"


def main() -> None:
    """Serves until standard input ends; when it ends early, so does the process, at once."""
    faulthandler.enable()
    # Blocked, not ignored: polars puts its own handler in place of one that ignores.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.register_at_fork(after_in_child=lambda: _part_from(answers))
    items: queue.Queue[dict[str, Any]] = queue.Queue()
    config = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_listen, args=(sys.stdin.buffer, items), daemon=True).start()
    with refusing(("fork", "forkpty"), _no_fork):
        _serve(config, items, answers)


def _no_fork(name: str) -> PluginError:
    """Two processes would answer as one, and the second would wait for threads that it lacks."""
    return PluginError(
        f"os.{name}() in a worker",
        "start a process instead, with subprocess or multiprocessing",
    )


def _part_from(answers: BinaryIO) -> None:
    """A child of `multiprocessing` answers nothing, does not keep the pipe open when we die, and
    does not wait for the thread that reads our input, which it lacks."""
    ACTIVITY.listen(None)
    sys.stdin = None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, answers.fileno(), inheritable=False)
    os.close(nowhere)


def _trace(error: BaseException) -> str:
    trace = "".join(traceback.format_exception(error))
    return trace.encode(errors="backslashreplace").decode()


def _listen(stream: BinaryIO, items: queue.Queue[dict[str, Any]]) -> None:
    for line in stream:
        items.put(orjson.loads(line))
    _leave(0)


def _serve(config: dict[str, Any], items: queue.Queue[dict[str, Any]], answers: BinaryIO) -> None:
    lock = threading.Lock()  # operators may work in threads

    def say(**answer: Any) -> None:
        with lock:
            answers.write(orjson.dumps(answer) + b"\n")
            answers.flush()

    ACTIVITY.listen(lambda what: say(doing=what))
    ACTIVITY.begin(LOADING)

    from pathlib import Path

    from datachef.core.registry.host import Host, plugin_patience
    from datachef.core.run.executor import TaskExecutor
    from datachef.core.run.file_store import FileStore
    from datachef.core.run.stage import work_item
    from datachef.core.run.time_limit import Overdue, TimeLimit
    from datachef.core.system.failures import environment_failure, explained

    place = WorkerConfig(
        tuple(config["plugin_files"]),
        Path(config["cache"]),
        run=config["run"],
        remote=config["remote"],
    )
    host = Host(place.plugin_files, patience=plugin_patience())
    executor = TaskExecutor(host, place.cache, FileStore.of(place))
    executor.prepare()
    while True:
        data = items.get()
        overdue = Overdue.from_data(data.pop("overdue"))
        limit = TimeLimit(config["call_limit"], overdue, lambda call: say(call=list(call)))
        executor.limit = limit
        item = work_item(data)
        ACTIVITY.begin("starting")
        try:
            say(record=executor.perform(item, lambda b, r: say(bytes=b, rows=r)))
        except BaseException as error:  # noqa: BLE001 - reported to the run, which names the item
            told = error if isinstance(error, DatachefError) else explained(error)
            if told is None:
                said = f"{type(error).__name__}: {words_of(error)}"
                say(error=said, kind="DatachefError", traceback=_trace(error))
                continue
            kind = kind_of(told) if told is error or isinstance(told, RunError) else "RunError"
            lacks = environment_failure(error)
            number = None if lacks is None else lacks.errno
            say(error=told.message, hint=told.hint, kind=kind, lacks=number)


if __name__ == "__main__":
    main()
