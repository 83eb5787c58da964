"""The local engine: worker processes on this machine, each replaced when it dies."""

from __future__ import annotations

import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from datachef.core.contracts.engine import Engine, Progress, WorkerConfig, WorkItem
from datachef.core.errors import DatachefError, RunError, error_of_kind
from datachef.core.run.time_limit import VARIABLE, Call, Overdue, seconds_allowed
from datachef.core.run.worker import Worker, WorkerDiedError

ATTEMPTS = 2
# Rows of one work item that may use up the time for a call; each costs a worker and that time.
MOST_OVERDUE = 20
# Seconds without a sign of life before `on_stall` is called; then again after twice as many.
NOTICE = 60.0
_CHECK_SECONDS = 1.0  # between looks at the workers
# Workers that are started before there is work: they load their plugins while the run is planned.
EARLY = 4
# Of the files that this process may open: what it needs itself, and the pipes to a worker, with
# those that are open only while it is started.
RESERVED_FILES = 32
FILES_PER_WORKER = 4


class Retry(NamedTuple):
    """A partition that is begun again in a new worker, and why."""

    label: str
    cause: str


class Late(NamedTuple):
    """A call with a batch of rows that took too long: its partition, the seconds, its step."""

    label: str
    seconds: float
    where: str


class LocalEngine(Engine):
    """Worker processes that take work items from one queue.

    A worker that dies (killed, crashed, out of memory) costs its item a second attempt in a fresh
    process; when that dies too, the run fails and names the item. A worker that gives no sign of
    life for `stall_limit` seconds of the config (stopped, in a deadlock or an endless loop) is
    killed; before that, and without a limit, `on_stall` is called. One that uses up the
    time that a call may take is replaced until the rows are found that do, up to a limit.
    """

    def __init__(self, config: WorkerConfig, workers: int) -> None:
        self._config = config
        self._call_limit = seconds_allowed()
        self._slow: set[str] = set()
        self._workers = min(max(1, workers), _most_workers())
        self._live: dict[int, Worker] = {}
        self._notified: dict[Worker, float] = {}
        self._last_check = time.monotonic()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False
        for slot in range(min(self._workers, EARLY)):
            self._worker(slot)

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for thread in self._threads:  # of a call that failed; they end with what they have begun
            thread.join()
        waiting: queue.Queue[int] = queue.Queue()
        events: queue.Queue[Any] = queue.Queue()
        for index in range(len(items)):
            waiting.put(index)
        count = min(self._workers, len(items))
        self._threads = [
            threading.Thread(target=self._drive, args=(slot, items, waiting, events), daemon=True)
            for slot in range(count)
        ]
        for thread in self._threads:
            thread.start()
        try:
            yield from self._results(len(items), events, progress)
        finally:
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait()

    def _results(
        self, left: int, events: queue.Queue[Any], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        self._last_check = time.monotonic()
        while left:
            try:
                event = events.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                event = None
            self._check_workers()
            if event is None:
                continue
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, Late):
                if self.on_stall is not None:
                    self.on_stall(*event)
            elif isinstance(event, Retry):
                if self.on_retry is not None:
                    self.on_retry(*event)
            elif isinstance(event[0], str):
                progress(*event)
            else:
                yield event
                left -= 1

    def _drive(
        self,
        slot: int,
        items: Sequence[WorkItem],
        waiting: queue.Queue[int],
        events: queue.Queue[Any],
    ) -> None:
        try:
            while True:
                try:
                    index = waiting.get_nowait()
                except queue.Empty:
                    return
                answer = self._attempt(slot, items[index], events)
                if "record" not in answer:
                    events.put(_failure(items[index], answer))
                    return
                events.put((index, answer["record"]))
        except Exception as error:  # noqa: BLE001 - a driver that dies in silence is a run that hangs
            events.put(error)

    def _attempt(self, slot: int, item: WorkItem, events: queue.Queue[Any]) -> dict[str, Any]:
        deaths: list[WorkerDiedError] = []
        overdue = Overdue(steps=set(self._slow))
        while len(deaths) < ATTEMPTS:
            try:
                answer = self._worker(slot).perform(item, overdue, events)
                self._slow |= overdue.slow()
                return answer
            except WorkerDiedError as death:
                if death.late is None:
                    deaths.append(death)
                else:
                    overdue.add(death.late)
                    if not death.late.alone:
                        events.put(self._late(item, death.late))
                with self._lock:
                    if self._closed:
                        return {"error": "the run was stopped", "hint": ""}
                    self._live.pop(slot).close()
                if death.late is not None and len(overdue.rows) > MOST_OVERDUE:
                    return self._too_late(death.late)
                if len(deaths) < ATTEMPTS:
                    events.put(Retry(item.label, _cause(death)))
        return {
            "error": f"a worker died {ATTEMPTS} times on it: {'; then '.join(map(str, deaths))}",
            "hint": deaths[-1].hint,
        }

    def _late(self, item: WorkItem, call: Call) -> Late:
        where = (
            f"{call.path}, whose rows go one by one from here ({VARIABLE}=N allows a call with "
            "many rows more processor time)"
        )
        return Late(item.label, self._call_limit or 0.0, where)

    def _too_late(self, call: Call) -> dict[str, Any]:
        return {
            "error": f"{call.path}: more than {MOST_OVERDUE} rows take more than "
            f"{self._call_limit:g} seconds of processor time each, the last of them {call.row}",
            "hint": "leave the step out, drop such rows before it, or allow more "
            f"({VARIABLE}=N), also where it only takes that long to load what it needs",
        }

    def _check_workers(self) -> None:
        """Reports workers that give no sign of life, and ends those that give none for too long."""
        now = time.monotonic()
        if now - self._last_check < _CHECK_SECONDS:
            return
        asleep, self._last_check = now - self._last_check - _CHECK_SECONDS, now
        with self._lock:
            workers = list(self._live.values())
        for worker in workers:
            item = worker.item
            if asleep > NOTICE / 4:  # it was us who were stopped, or busy
                worker.last_seen = max(worker.last_seen, now)
            silent = now - worker.last_seen
            limit = self._config.stall_limit
            if limit is not None and worker.loading:  # which depends on the load of the machine
                limit = max(limit, NOTICE)
            if item is None or silent < min(NOTICE, limit or NOTICE):
                self._notified.pop(worker, None)
            elif limit is not None and silent >= limit:
                worker.end_for(f"it made no progress for {limit:.0f} s in {worker.doing}")
            elif silent >= 2 * self._notified.get(worker, 0.0):
                self._notified[worker] = silent
                if self.on_stall is not None:
                    where = f"{worker.doing}; its process {worker.pid} {worker.state()}"
                    self.on_stall(item.label, silent, where)

    def _worker(self, slot: int) -> Worker:
        with self._lock:
            if self._closed:
                raise RunError("the run was stopped")
            if slot not in self._live:
                self._live[slot] = Worker(self._config, self._call_limit)
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


def _cause(death: WorkerDiedError) -> str:
    """Why a worker was replaced, in words."""
    if death.late is None:
        return f"a worker died on it: {death}"
    return f"{death.late.path} exceeds the time limit with {death.late.row}"


def _failure(item: WorkItem, answer: dict[str, Any]) -> DatachefError:
    """What a worker answered, as an error of the kind that was raised in it."""
    message, hint = f"{item.label}: {answer['error']}", answer.get("hint", "")
    error = error_of_kind(answer.get("kind", "RunError"), message, hint)
    if trace := answer.get("traceback"):
        error.add_note(trace)
    if lacks := answer.get("lacks"):
        error.__cause__ = OSError(lacks, os.strerror(lacks))
    return error
