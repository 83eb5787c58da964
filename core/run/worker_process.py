"""One worker process of the local engine: what it is asked, how it is watched, why it ended."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from datachef.core.contracts.engine import WorkerConfig, WorkItem
from datachef.core.escaping import escaped
from datachef.core.run.time_limit import SIGNAL, Call, Overdue
from datachef.core.system.activity import LOADING
from datachef.core.system.child_process import machine_memory, start

_LAST_SECONDS = 10.0
_LAST_LINES = 30
_LONGEST_LINE = 2**16


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

    `heard` is when it last gave a sign of life (`time.monotonic`), `doing` what it was at then,
    `item` what it was asked for, None where it has nothing to do. First it is `loading` plugins.
    """

    def __init__(self, config: WorkerConfig, call_limit: float | None) -> None:
        # One thread per worker: the workers are the parallelism.
        environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.item: WorkItem | None = None
        self.heard = time.monotonic()
        self.doing = LOADING
        self.loading = True
        self._ended_for = ""
        self._out_of_memory = _kills_for_memory()
        self._child = start(
            ["-m", "datachef.core.run.worker"],
            memory=machine_memory(),
            environment=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._process = self._child.process
        self._last_words: deque[str] = deque(maxlen=_LAST_LINES)
        self._relay = threading.Thread(target=self._relayed, daemon=True)
        self._relay.start()
        told = {**asdict(config), "cache": str(config.cache), "call_limit": call_limit}
        self._send(told)

    @property
    def pid(self) -> int:
        return self._process.pid

    def perform(self, item: WorkItem, overdue: Overdue, events: queue.Queue[Any]) -> dict[str, Any]:
        """The answer to a work item: its record, or an error. Raises `WorkerDiedError`."""
        self.heard, self.item = time.monotonic(), item
        try:
            return self._answer(item, overdue, events)
        finally:
            self.item = None

    def _answer(self, item: WorkItem, overdue: Overdue, events: queue.Queue[Any]) -> dict[str, Any]:
        self._send({**item.to_data(), "overdue": overdue.to_data()})
        call = None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.heard = time.monotonic()
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
        """What the process does by the word of the system, for people."""
        return _STATES.get(_state(self.pid), "waits").format(pid=self.pid)

    def end_for(self, cause: str) -> None:
        """Kills it; whoever waits for its answer is told the cause."""
        self._ended_for = cause
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self._child.end()

    def _send(self, data: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(orjson.dumps(data) + b"\n")
            self._process.stdin.flush()

    def _relayed(self) -> None:
        """Passes on what the process prints to standard error: rows of strangers may be in it."""
        stream = self._process.stderr
        assert stream is not None
        with suppress(ValueError, OSError):  # it is closed as the worker ends
            for raw in iter(partial(stream.readline, _LONGEST_LINE), b""):
                line = escaped(_left_standing(raw.decode(errors="replace")))
                self._last_words.append(line)
                with suppress(ValueError, OSError, AttributeError):
                    print(line, file=sys.stderr, flush=True)


def _left_standing(line: str) -> str:
    """What a terminal would show of a line at last: bars are drawn over themselves."""
    return next((part for part in reversed(line.rstrip("\n").split("\r")) if part.strip()), "")


_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"}
_MEMORY_HINT = "fewer workers leave each more memory (--workers); what is done stays done"
_STALL_HINT = (
    "a row on which this step does not come to an end, or a step that is only slow: raise "
    "--stall-limit then; what is done stays done"
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


def _state(pid: int) -> str:
    """The letter of a process's state; empty where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _kills_for_memory() -> int:
    """How many processes the system killed by now because memory ran out, where it tells."""
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
            "it was killed (SIGKILL), by somebody or by the system when memory ran out",
            f"where it was for memory: {_MEMORY_HINT}",
        )
    if name in _CRASHES:
        return (
            f"it crashed ({name})",
            "a library in native code that one of these steps uses has a bug; where, is printed "
            "above; what is done stays done",
        )
    if name:
        return f"it was ended by {name}", "somebody ended it; run again, what is done stays done"
    return (
        f"it ended with exit code {status}",
        "one of these steps ended the whole process; its author has to mend it",
    )


def _signal_name(status: int) -> str:
    """The signal that ended a process; empty where it ended by itself."""
    try:
        return signal.Signals(-status).name if status < 0 else ""
    except ValueError:
        return f"signal {-status}"
