"""Children of ours are gone when their parent is, whatever they do, and keep to their limits.

Every test starts the real thing, kills the process that started it with SIGKILL, and waits for all
that came of it to be gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import CHEF

from datachef.core.system.child_process import ProcessPool, start

PYTHON = (sys.executable, "-P")

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

PATIENCE = 120.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for what a busy machine may take long to do."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.05)


def processes() -> dict[int, tuple[int, str, int]]:
    """All processes: the parent, the state and the processor time of each."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = (int(fields[1]), fields[0], int(fields[11]))
    return found


def family(root: int) -> set[int]:
    """All that came of a process."""
    parents = {pid: parent for pid, (parent, _, _) in processes().items()}
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {root}


def living(pids: set[int]) -> set[int]:
    known = processes()
    return {pid for pid in pids if pid in known and known[pid][1] not in "ZX"}


def busy(pids: set[int]) -> set[int]:
    """Those that have used so much processor time that they are past starting."""
    known = processes()
    ticks = os.sysconf("SC_CLK_TCK")
    return {pid for pid in pids if pid in known and known[pid][2] >= 2 * ticks}


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Runs a program as a process that is going to be killed; gives its process id."""
    running = []

    def run(*program: str) -> int:
        with (tmp_path / "errors").open("wb") as errors:
            process = subprocess.Popen(program, cwd=tmp_path, stdout=errors, stderr=errors)
        running.append(process)
        return process.pid

    yield run
    for process in running:
        process.kill()
        process.wait()


def kill_and_wait(pid: int, children: set[int]) -> None:
    assert living(children) == children
    os.kill(pid, signal.SIGKILL)
    until(lambda: not living(children), f"the end of {sorted(children)}")


STUCK = '''
import os, subprocess
from typing import Literal
import polars as pl
from datachef.core import TextTransform, hookimpl

class Stuck(TextTransform):
    """Never comes back from arithmetic in C, and leaves a process of its own behind."""
    op: Literal["stuck"] = "stuck"
    def rewrite(self, text):
        if len(text):
            subprocess.Popen(["sleep", "100000"])
            9 ** len(text[0]) ** 9
        return text

@hookimpl
def datachef_operators():
    return [Stuck]
'''


def test_workers_and_what_they_started(parent: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "nine char"}\n')
    (tmp_path / "r.yaml").write_text(
        "name: r\nsources:\n  a: {path: '*.jsonl', steps: [{op: stuck}]}\n"
    )
    chef = parent(*CHEF, "run", "r.yaml", "-w", "2", "--plugin", "stuck.py")
    until(lambda: len(busy(family(chef))) == 2, "two workers at work")
    children = family(chef)
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
    assert sum(b"sleep" in command for command in commands) == 2
    kill_and_wait(chef, children)


SERVER = r"""
from datachef.reward.metrics.math_match import MathServer
server = MathServer(seconds=100_000)
assert server.equal("$2$", r"$\frac{4}{2}$")
server.equal("$9^{9^{9^9}}$", "$1$")
"""


@pytest.mark.slow
def test_the_math_server(parent: Callable[..., int]) -> None:
    pid = parent(*PYTHON, "-c", SERVER)
    until(lambda: bool(busy(family(pid))), "a question that takes forever")
    kill_and_wait(pid, family(pid))


SANDBOX = """
from datachef.reward.metrics.sandbox import SandboxLimits, run_program
run_program("9 ** len('nine char') ** 9", SandboxLimits(cpu_seconds=100_000, clock_seconds=100_000))
"""


def test_the_sandbox(parent: Callable[..., int]) -> None:
    pid = parent(*PYTHON, "-c", SANDBOX)
    until(lambda: bool(busy(family(pid))), "a program that takes forever")
    kill_and_wait(pid, family(pid))


POOL = """
from datachef.core.system.child_process import ProcessPool
if __name__ == "__main__":
    with ProcessPool(2) as pool:
        list(pool.map(pow, [9, 9], [9 ** 9, 9 ** 9]))
"""


def test_a_pool_of_processes(parent: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    pid = parent(*PYTHON, "pool.py")
    until(lambda: len(busy(family(pid))) == 2, "two processes at work")
    kill_and_wait(pid, family(pid))


def test_every_process_is_started_here() -> None:
    """A child that is started in another way is not bound to its parent."""
    root = Path(__file__).parents[3]
    ways = (
        "Popen(",
        "subprocess.run(",
        "os.fork",
        "ProcessPoolExecutor(",
        "multiprocessing.Process",
    )
    ours = {
        "core/system/child_process.py",
        "plugins/engines/slurm_engine.py",  # commands of Slurm, which end by themselves
        "reward/metrics/sandbox.py",
    }
    for folder in ("core", "operators", "plugins", "policy", "reward"):
        for path in (root / folder).rglob("*.py"):
            if str(path.relative_to(root)) not in ours:
                found = [way for way in ways if way in path.read_text(encoding="utf-8")]
                assert not found, f"{path}: start it with datachef.core.system.child_process"


ECHO = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)\n"


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    pipe = subprocess.PIPE
    children = []

    def begin() -> None:
        children.append(start([str(tmp_path / "echo.py")], stdin=pipe, stdout=pipe))

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    (child,) = children
    stdin, stdout = child.process.stdin, child.process.stdout
    assert stdin is not None and stdout is not None
    for word in (b"one\n", b"two\n"):
        stdin.write(word)
        stdin.flush()
        assert stdout.readline() == word
    assert child.alive
    assert child.end() == -signal.SIGKILL
    assert not child.alive


def test_a_pool_outlives_the_thread_that_asked_it_first() -> None:
    found: list[int] = []
    with ProcessPool(1) as pool:
        thread = threading.Thread(target=lambda: found.append(pool.submit(pow, 2, 3).result()))
        thread.start()
        thread.join()
        found.append(pool.submit(pow, 2, 4).result())
        assert pool.submit(os.getppid).result() == os.getpid()
        assert pool.submit(os.getenv, "POLARS_MAX_THREADS").result() == "1"
    assert found == [8, 16]


def run_child(path: Path, code: str, **options: int) -> tuple[int, bytes]:
    path.write_text(code)
    child = start([str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    said, _ = child.process.communicate(timeout=PATIENCE)
    return child.end(), said


def test_a_child_does_not_allocate_more_than_it_may(tmp_path: Path) -> None:
    code = "print(len(bytearray(300_000_000)))"
    assert run_child(tmp_path / "a.py", code) == (0, b"300000000\n")
    status, said = run_child(tmp_path / "b.py", code, memory=200_000_000)
    assert status == 1
    assert b"MemoryError" in said


def test_the_arithmetic_of_a_question_ends_by_itself(tmp_path: Path) -> None:
    """Also when nobody is there to end it: processor time is bounded per question."""
    from datachef.reward.metrics import math_match

    program, pipe, nothing = str(math_match._PROGRAM), subprocess.PIPE, subprocess.DEVNULL
    child = start([program], stdin=pipe, stdout=pipe, stderr=nothing)
    question = b'{"gold": "$9^{9^{9^9}}$", "given": "$1$", "seconds": 1}\n'
    child.process.communicate(question, timeout=PATIENCE)
    assert child.end() == -signal.SIGPROF


def test_files_of_the_working_folder_are_not_taken_for_modules(
    parent: Callable[..., int], tmp_path: Path
) -> None:
    for name in ("random", "orjson", "json", "polars", "runpy", "sympy"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the working folder')\n")
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n')
    (tmp_path / "r.yaml").write_text("name: r\nsources:\n  a: {path: a.jsonl}\n")
    (tmp_path / "pool.py").write_text(
        "from datachef.core.system.child_process import ProcessPool\n"
        "from datachef.reward.metrics.sandbox import run_program\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPool(1) as pool:\n        assert pool.submit(pow, 2, 3).result() == 8\n"
        "    assert run_program('import random, json').passed\n"
    )
    for command in ([*CHEF, "run", "r.yaml", "-w", "1"], [*PYTHON, "pool.py"]):
        done = subprocess.run(
            command,
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


DEADLY = """
import os, signal
from typing import Literal
from pydantic import Field
from datachef.core import TextTransform, hookimpl

class Deadly(TextTransform):
    "Ends its process."
    op: Literal["deadly"] = "deadly"
    how: int = Field(0, ge=-99, le=99, description="The signal, or the exit code below zero.")
    def rewrite(self, text):
        if len(text):
            os.kill(os.getpid(), self.how) if self.how > 0 else os._exit(-self.how)
        return text

@hookimpl
def datachef_operators():
    return [Deadly]
"""


@pytest.mark.parametrize(
    ("how", "cause", "hint"),
    [
        (int(signal.SIGKILL), "it was killed (SIGKILL)", "fewer workers leave each more memory"),
        (int(signal.SIGABRT), "it crashed (SIGABRT)", "a library in native code"),
        (int(signal.SIGSEGV), "it crashed (SIGSEGV)", "a library in native code"),
        (int(signal.SIGTERM), "it was ended by SIGTERM", "another program ended it"),
        (-3, "it ended with exit code 3", "report this to its author"),
    ],
)
def test_a_worker_that_dies_is_told_by_its_cause(
    tmp_path: Path, how: int, cause: str, hint: str
) -> None:
    from datachef.core import Host, RunError, run_recipe

    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n')
    (tmp_path / "r.yaml").write_text(
        f"name: r\nsources:\n  a: {{path: a.jsonl, steps: [{{op: deadly, how: {how}}}]}}\n"
    )
    host = Host([str(tmp_path / "deadly.py")], only={"sources", "engines"})
    with pytest.raises(RunError) as raised:
        run_recipe(
            tmp_path / "r.yaml", tmp_path / "out", host=host, workers=1, cache=tmp_path / "cache"
        )
    assert f"a worker died 2 times on it: {cause}" in raised.value.message
    assert hint in raised.value.hint
    assert ("workers" in raised.value.hint) == (how == signal.SIGKILL)
