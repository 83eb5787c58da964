"""The local engine: worker processes on this machine, each replaced when it dies."""

from __future__ import annotations

import os
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import orjson

from datachef.core.child_process import machine_memory, start
from datachef.core.engine import Engine, Progress, Setting
from datachef.core.errors import RunError
from datachef.core.run.stage import Task, to_data

ATTEMPTS = 2
_LAST_SECONDS = 10.0
# Workers that are started before there is work: they load their plugins while the run is planned.
EARLY = 4
# Of the files that this process may open: what it needs itself, and the pipes to a worker, with
# those that are open only while it is started.
RESERVED_FILES = 32
FILES_PER_WORKER = 4


class WorkerDiedError(Exception):
    """A worker process ended without an answer, with an exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(_cause(status))
        self.status = status


class _Worker:
    """One process and the conversation with it."""

    def __init__(self, setting: Setting) -> None:
        # One thread per worker: the workers are the parallelism.
        environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._child = start(
            ["-m", "datachef.core.run.worker"],
            memory=machine_memory(),
            environment=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._process = self._child.process
        self._send({"plugin_files": setting.plugin_files, "cache": str(setting.cache)})

    def perform(self, task: Task, events: queue.Queue[Any]) -> dict[str, Any]:
        self._send(to_data(task))
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, Any] = orjson.loads(line)
            if "rows" in answer and "bytes" in answer:
                events.put((task.label, answer["bytes"], answer["rows"]))
            else:
                return answer
        with suppress(subprocess.TimeoutExpired):  # what ended it, not how we make sure of it
            self._process.wait(_LAST_SECONDS)
        raise WorkerDiedError(self._child.end())

    def _send(self, data: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(orjson.dumps(data) + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        self._child.end()


_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"}
_MEMORY_HINT = "fewer workers leave each more memory (--workers); what is done stays done"


def _signal_name(status: int) -> str:
    """The signal that ended a process; empty where it ended by itself."""
    try:
        return signal.Signals(-status).name if status < 0 else ""
    except ValueError:
        return f"signal {-status}"


def _cause(status: int) -> str:
    name = _signal_name(status)
    if not name:
        return f"it ended with exit code {status}"
    if name == "SIGKILL":
        return "it was killed (SIGKILL), as the system does when memory runs out"
    return f"it crashed ({name})" if name in _CRASHES else f"it was ended by {name}"


def _hint(status: int) -> str:
    """What to do about a worker that ended so; fewer of them help where memory may be the cause."""
    name = _signal_name(status)
    if name == "SIGKILL":
        return _MEMORY_HINT
    if name == "SIGABRT":
        return f"its last words are above; where it says that memory ran out, {_MEMORY_HINT}"
    if name in _CRASHES:
        return (
            "a library in native code that one of these steps uses has a bug; where, is printed "
            "above; what is done stays done"
        )
    if name:
        return "somebody ended it; run again, what is done stays done"
    return "one of these steps ended the whole process (os._exit); its author has to mend it"


class LocalEngine(Engine):
    """Worker processes that take tasks from one queue.

    A worker that dies (killed, crashed, out of memory) costs its task a second attempt in a fresh
    process; when that dies too, the run fails and names the task.
    """

    def __init__(self, setting: Setting, workers: int) -> None:
        self._setting = setting
        self._workers = min(max(1, workers), _most_workers())
        self._live: dict[int, _Worker] = {}
        self._lock = threading.Lock()
        self._closed = False
        for slot in range(min(self._workers, EARLY)):
            self._worker(slot)

    def map(
        self, tasks: Sequence[Task], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        waiting: queue.Queue[int] = queue.Queue()
        events: queue.Queue[Any] = queue.Queue()
        for index in range(len(tasks)):
            waiting.put(index)
        count = min(self._workers, len(tasks))
        threads = [
            threading.Thread(target=self._drive, args=(slot, tasks, waiting, events), daemon=True)
            for slot in range(count)
        ]
        for thread in threads:
            thread.start()
        left = len(tasks)
        while left:
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            if isinstance(event[0], str):
                progress(*event)
            else:
                yield event
                left -= 1
        for thread in threads:
            thread.join()

    def _drive(
        self, slot: int, tasks: Sequence[Task], waiting: queue.Queue[int], events: queue.Queue[Any]
    ) -> None:
        try:
            while True:
                try:
                    index = waiting.get_nowait()
                except queue.Empty:
                    return
                answer = self._attempt(slot, tasks[index], events)
                if "record" not in answer:
                    events.put(_failure(tasks[index], answer))
                    return
                events.put((index, answer["record"]))
        except Exception as error:  # noqa: BLE001 - a driver that dies in silence is a run that hangs
            events.put(error)

    def _attempt(self, slot: int, task: Task, events: queue.Queue[Any]) -> dict[str, Any]:
        deaths: list[WorkerDiedError] = []
        for _ in range(ATTEMPTS):
            try:
                return self._worker(slot).perform(task, events)
            except WorkerDiedError as death:
                deaths.append(death)
                with self._lock:
                    if self._closed:
                        return {"error": "the run was stopped", "hint": ""}
                    self._live.pop(slot).close()
        return {
            "error": f"a worker died {ATTEMPTS} times on it: {'; then '.join(map(str, deaths))}",
            "hint": _hint(deaths[-1].status),
        }

    def _worker(self, slot: int) -> _Worker:
        with self._lock:
            if self._closed:
                raise RunError("the run was stopped")
            if slot not in self._live:
                self._live[slot] = _Worker(self._setting)
            return self._live[slot]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for worker in self._live.values():
                worker.close()
            self._live.clear()


def _most_workers() -> int:
    """So many that the pipes to them leave room among the files that may be open."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, (allowed - RESERVED_FILES) // FILES_PER_WORKER)


def _failure(task: Task, answer: dict[str, Any]) -> RunError:
    error = RunError(f"{task.label}: {answer['error']}", answer.get("hint", ""))
    if trace := answer.get("traceback"):
        error.add_note(trace)
    return error
