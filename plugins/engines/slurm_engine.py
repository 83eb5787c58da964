"""The Slurm engine: the items of a phase as one job array, whose results are awaited in the cache.

Task number i of an array of n does the items that leave the remainder i. What it is to do, what
came of it and its log lie in a folder of the cache, which all nodes must reach under the same path.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from datachef.core import DatachefError, Engine, RunError, WorkerConfig, WorkItem
from datachef.core.contracts.engine import Progress
from datachef.core.system.atomic import write_atomically
from datachef.core.system.backoff import Backoff
from datachef.plugins.engines.outcomes import record_of

# How often a task is submitted whose job ended before it was done.
ATTEMPTS = 2
# Seconds between looks at the folder and at the queue; for how long a result may come after its
# job has left the queue, which a network file system delays; before it is told who waits for what.
_BACKOFF = 0.1, 5.0
_QUEUE_SECONDS = 5.0
_GRACE = 10.0
_NOTICE = 60.0
_ARRAY_SIZE = 1001  # of a site that says nothing else
_LAST_LINES = 5


class SlurmEngine(Engine):
    """Carries out work items as tasks of job arrays, `workers` of them at most, and no more than
    the site allows.

    Account, time limit, memory and the like are taken by `sbatch` from its variables (`SBATCH_…`).
    A task that is preempted is put into the queue again; one that fails is submitted once more.
    """

    def __init__(self, config: WorkerConfig, workers: int, *, partition: str | None = None) -> None:
        if shutil.which("sbatch") is None:
            raise DatachefError(
                "the engine slurm needs the command sbatch, which is not here",
                "start the run where jobs are submitted; for other schedulers there is --shard",
            )
        self._config = config
        self._workers = min(max(1, workers), _most_tasks())
        self._partition = partition
        self._folder = config.cache / "slurm" / uuid4().hex  # shards of one run have one each
        self._arrays = 0

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if not items:
            return
        self._arrays += 1
        folder = self._folder / str(self._arrays)
        folder.mkdir(parents=True, exist_ok=True)
        config = {**asdict(self._config), "cache": str(self._config.cache)}
        manifest = {"config": config, "items": [item.to_data() for item in items]}
        write_atomically(folder / "items.json", orjson.dumps(manifest))
        array = _Array(folder, min(self._workers, len(items)), self._partition)
        try:
            yield from self._outcomes(array, items)
        finally:
            array.cancel()
        shutil.rmtree(folder, ignore_errors=True)

    def _outcomes(
        self, array: _Array, items: Sequence[WorkItem]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        left = set(range(len(items)))
        array.submit(range(array.tasks))
        backoff, began, notice = Backoff(*_BACKOFF), time.monotonic(), _NOTICE
        while True:
            for index, outcome in array.outcomes(left):
                left.remove(index)
                backoff.reset()
                yield index, record_of(outcome)
            if not left:
                return
            again = array.ended({index % array.tasks for index in left})
            for task in again:
                label = items[min(i for i in left if i % array.tasks == task)].label
                if array.attempts[task] == ATTEMPTS:
                    raise RunError(f"{label}: {array.why(task)}", array.log_of(task))
                if self.on_retry is not None:
                    self.on_retry(label, array.why(task))
            if again:
                array.submit(again)
            if time.monotonic() - began >= notice and self.on_stall is not None:
                waited = time.monotonic() - began
                self.on_stall(f"Slurm job {array.job}", waited, array.state(len(left)))
                notice *= 2
            time.sleep(backoff.next_delay())

    def close(self) -> None:
        with suppress(OSError):  # logs of what failed stay
            self._folder.rmdir()


class _Array:
    """A job array over the items in a folder, and what is submitted of it again."""

    def __init__(self, folder: Path, tasks: int, partition: str | None) -> None:
        self.tasks = tasks
        self.job = ""
        self.attempts = dict.fromkeys(range(tasks), 0)
        self._folder = folder
        self._partition = partition
        self._job_of: dict[int, str] = {}
        self._gone: dict[int, float] = {}
        self._looked = time.monotonic()

    def submit(self, tasks: Iterable[int]) -> None:
        chosen = sorted(tasks)
        whole = len(chosen) == self.tasks
        program = [sys.executable, "-P", "-m", "datachef.plugins.engines.array_task"]
        words = shlex.join([*program, str(self._folder)])
        options = [
            "--parsable",
            f"--array={f'0-{self.tasks - 1}' if whole else ','.join(map(str, chosen))}",
            "--job-name=datachef",
            "--ntasks=1",
            "--cpus-per-task=1",
            "--requeue",
            "--open-mode=append",
            f"--output={self._folder}/%a.log",
        ]
        options += [f"--partition={self._partition}"] if self._partition else []
        script = f'#!/bin/sh\nexec {words} "$SLURM_ARRAY_TASK_ID" {self.tasks}\n'
        done = _slurm("sbatch", *options, script=script)
        if done.returncode:
            raise RunError(
                f"sbatch refuses the job: {done.stderr.strip()}",
                "give --partition, --workers for fewer tasks, and what the site asks for in "
                "variables such as SBATCH_ACCOUNT and SBATCH_TIMELIMIT",
            )
        self.job = done.stdout.strip().partition(";")[0]
        for task in chosen:
            self.attempts[task] += 1
            self._job_of[task] = self.job
            self._gone.pop(task, None)

    def outcomes(self, wanted: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """What came of items since they were asked for."""
        names = {path.name for path in self._folder.iterdir()}
        for index in [index for index in wanted if f"{index}.json" in names]:
            yield index, orjson.loads((self._folder / f"{index}.json").read_bytes())

    def ended(self, tasks: Iterable[int]) -> list[int]:
        """Those of the tasks whose job has left the queue some time ago; their items will not be
        done. Looked up every few seconds."""
        now = time.monotonic()
        if now - self._looked >= _QUEUE_SECONDS:
            self._looked = now
            queued = self._queued()
            for task in tasks if queued is not None else ():
                if f"{self._job_of[task]}_{task}" in (queued or ()):
                    self._gone.pop(task, None)
                else:
                    self._gone.setdefault(task, now)
        return [task for task in tasks if now - self._gone.get(task, now) >= _GRACE]

    def _queued(self) -> dict[str, str] | None:
        """The tasks in the queue with their state; None where the controller does not answer."""
        jobs = ",".join(sorted(set(self._job_of.values())))
        done = _slurm("squeue", "--noheader", "--array", f"--jobs={jobs}", "--format=%i|%T (%r)")
        if done.returncode:
            return {} if "Invalid job id" in done.stderr else None
        lines = (line.partition("|") for line in done.stdout.splitlines())
        return {name.strip(): state for name, _, state in lines}

    def state(self, left: int) -> str:
        """What the queue says, in words."""
        states = sorted(set((self._queued() or {}).values()))
        return f"{left:,} items, whose tasks are {', '.join(states) or 'in no queue'}"

    def why(self, task: int) -> str:
        """How the job of a task ended, and the last lines that it wrote."""
        name = f"{self._job_of[task]}_{task}"
        found = _slurm("scontrol", "show", "job", name, "--oneliner").stdout
        facts = dict(re.findall(r"(JobState|ExitCode|Reason|NodeList)=(\S+)", found))
        state = ", ".join(f"{key} {value}" for key, value in facts.items())
        attempt = f"attempt {self.attempts[task]} of {ATTEMPTS}"
        words = f"the Slurm job {name} ended before it was done ({attempt}"
        return f"{words}; {state})" if state else f"{words})"

    def log_of(self, task: int) -> str:
        """Where the log of a task is, with its last lines."""
        log = self._folder / f"{task}.log"
        last: list[str] = []
        with suppress(OSError):
            last = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([f"its log is {log}", *last])

    def cancel(self) -> None:
        """Ends what is still in the queue."""
        for job in set(self._job_of.values()):
            _slurm("scancel", "--quiet", job)


def _slurm(*command: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def _most_tasks() -> int:
    """How many tasks the site allows in one array."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _slurm("scontrol", "show", "config").stdout)
    return max(1, int(found[1]) if found else _ARRAY_SIZE)
