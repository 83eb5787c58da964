"""A worker that is stopped, waits for ever or does not come to an end is noticed, named, ended."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import chef

from datachef.core import Host, PartitionStalled, RunError, RunObserver, run_recipe
from datachef.core.run import local, worker
from datachef.core.run.report import Report

OPERATOR = """
import os, re, signal, threading, time
from pathlib import Path
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class Stalls(Filter):
    "Does not come to an end."
    op: Literal["stalls"] = "stalls"
    def signals(self):
        return {{"size": self.size}}
    def size(self, batch):
        if "STALL" in batch["text"] and not Path(ONCE).exists():
            {mark}
            {stall}
        return batch["text"].str.len_chars()
    def rules(self):
        return {{}}

ONCE = {once!r}

@hookimpl
def datachef_operators():
    return [Stalls]
"""

STALLS = {
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "deadlocked": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "endless": "while True: pass",
    "endless in C, which no other thread of Python survives": "re.match('(a+)+b', 'a' * 60)",
}

Run = Callable[..., Report]


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded on Linux")
def test_a_worker_gets_no_more_memory_than_it_may_have(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        OPERATOR.format(mark="bytearray(4 * 2**30)", stall="pass", once=str(tmp_path / "once"))
    )
    options = ("--worker-memory", "1GB", "--workers", "1", "--output", "out", "--cache", "cache")
    done = chef("--plugin", "odd.py", "run", "r.yaml", *options, folder=tmp_path)
    assert done.returncode == 5, done.stderr
    assert "there is not enough memory" in done.stderr
    assert "--worker-memory" in done.stderr
    assert chef("run", "r.yaml", "--worker-memory", "much").returncode == 2


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "fine.jsonl").write_text('{"text": "fine"}\n')
    (tmp_path / "odd.jsonl").write_text('{"text": "STALL"}\n')
    (tmp_path / "r.yaml").write_text(
        "name: r\nsources:\n  a:\n    path: '*.jsonl'\n    steps: [{op: stalls}]\n"
    )

    def go(stall: str, *, once: bool = False, observer: RunObserver, limit: float | None) -> Report:
        mark = "Path(ONCE).touch()" if once else "pass"
        code = OPERATOR.format(stall=stall, mark=mark, once=str(tmp_path / "once"))
        (tmp_path / "odd.py").write_text(code)
        return run_recipe(
            tmp_path / "r.yaml",
            tmp_path / "out",
            host=Host([str(tmp_path / "odd.py")], only={"sources", "engines"}),
            workers=2,
            cache=tmp_path / "cache",
            observers=[observer],
            stall_limit=limit,
        )

    return go


class Listener(RunObserver):
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def partition_stalled(self, event: PartitionStalled) -> None:
        self.told.append((event.label, event.where))


@pytest.mark.parametrize("kind", STALLS)
def test_a_stalled_worker_is_ended_and_its_partition_and_step_named(
    run: Run, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "ATTEMPTS", 1)
    with pytest.raises(RunError) as raised:
        run(STALLS[kind], observer=Listener(), limit=3)
    step = f"sources.a.steps[0] (stalls of {tmp_path / 'odd.py'})"
    assert f"a/odd.jsonl: a worker died 1 times on it: it made no progress for 3 s in {step}" in (
        raised.value.message
    )
    assert "--stall-limit" in raised.value.hint
    assert not (tmp_path / "out").exists()


def test_an_ended_worker_costs_its_partition_a_second_attempt(run: Run) -> None:
    assert run("while True: pass", once=True, observer=Listener(), limit=8).rows == 2


def test_without_a_limit_it_is_told_of_and_goes_on_where_it_can(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "NOTICE", 1.0)

    class Wakes(Listener):
        def partition_stalled(self, event: PartitionStalled) -> None:
            super().partition_stalled(event)
            if stopped := re.search(r"is stopped \(kill -CONT (\d+)", event.where):
                os.kill(int(stopped[1]), signal.SIGCONT)

    observer = Wakes()
    assert run(STALLS["stopped"], observer=observer, limit=None).rows == 2
    label, where = next(told for told in observer.told if "is stopped" in told[1])
    assert label == "a/odd.jsonl"
    assert where.startswith("sources.a.steps[0] (stalls of ")


@pytest.mark.parametrize("limit", ["-1", "soon"])
def test_a_limit_is_a_number_of_seconds(limit: str) -> None:
    done = chef("run", "r.yaml", "--stall-limit", limit)
    assert done.returncode == 2
    assert "--stall-limit" in done.stderr


@pytest.mark.parametrize(
    ("status", "words", "for_memory", "cause", "hint"),
    [
        (-9, "", True, "the system killed it (SIGKILL), as memory ran out", "--workers"),
        (-9, "", False, "it was killed (SIGKILL), by a user, or by the system", "if it was"),
        (-6, "memory allocation of 99 bytes failed", False, "it ran out of memory", "--workers"),
        (-6, "terminate called after throwing 'std::bad_alloc'", False, "it ran out", "--workers"),
        (-6, "free(): invalid pointer", False, "it crashed (SIGABRT)", "native code"),
        (-11, "Fatal Python error: Segmentation fault", False, "it crashed (SIGSEGV)", "native"),
        (-15, "", False, "it was ended by SIGTERM", "another program ended it"),
        (0, "", False, "it ended with exit code 0", "report this to its author"),
        (3, "", False, "it ended with exit code 3", "report this to its author"),
    ],
)
def test_the_hint_fits_the_cause(
    status: int, words: str, for_memory: bool, cause: str, hint: str
) -> None:
    told, advice = worker.why_it_ended(status, words, for_memory)
    assert told.startswith(cause)
    assert hint in advice
    assert ("--workers" in advice) == ("memory" in told)
