"""The local engine: worker processes on this machine, each replaced when it dies."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import orjson

from datachef.core.engine import Engine, Progress, Setting
from datachef.core.errors import RunError
from datachef.core.run.stage import Task, to_data

ATTEMPTS = 2
# Workers that are started before there is work: they load their plugins while the run is planned.
EARLY = 4


class WorkerDiedError(Exception):
    """A worker process ended without an answer."""


class _Worker:
    """One process and the conversation with it."""

    def __init__(self, setting: Setting) -> None:
        # One thread per worker: the workers are the parallelism.
        environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "datachef.core.run.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
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
        raise WorkerDiedError(_cause(self._process.wait()))

    def _send(self, data: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(orjson.dumps(data) + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _cause(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        more = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"it was ended by {name}{more}"
    return f"it was ended by signal {-code}"


class LocalEngine(Engine):
    """Worker processes that take tasks from one queue.

    A worker that dies (killed, crashed, out of memory) costs its task a second attempt in a fresh
    process; when that dies too, the run fails and names the task.
    """

    def __init__(self, setting: Setting, workers: int) -> None:
        self._setting = setting
        self._workers = max(1, workers)
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
        causes = []
        for _ in range(ATTEMPTS):
            try:
                return self._worker(slot).perform(task, events)
            except WorkerDiedError as death:
                causes.append(str(death))
                with self._lock:
                    if self._closed:
                        return {"error": "the run was stopped", "hint": ""}
                    self._live.pop(slot).close()
        return {
            "error": f"a worker died {ATTEMPTS} times on it: {'; then '.join(causes)}",
            "hint": "fewer workers leave each more memory (--workers); what is done stays done",
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


def _failure(task: Task, answer: dict[str, Any]) -> RunError:
    error = RunError(f"{task.label}: {answer['error']}", answer.get("hint", ""))
    if trace := answer.get("traceback"):
        error.add_note(trace)
    return error
