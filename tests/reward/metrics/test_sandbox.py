from __future__ import annotations

import os
from pathlib import Path

import pytest

from datachef.core import BenchmarkItem, DatachefError
from datachef.core.system.confinement import missing_layers
from datachef.reward.metrics import make_metric, sandbox
from datachef.reward.metrics.sandbox import (
    Program,
    ProgramResult,
    SandboxLimits,
    run_program,
)
from datachef.reward.metrics.unit_tests import assembled, code_of

SHORT = SandboxLimits(cpu_seconds=1, memory=1 << 30, file_bytes=1 << 20)


walled = pytest.mark.skipif(bool(missing_layers()), reason=f"no layer around {missing_layers()}")


@pytest.mark.parametrize(
    "program",
    [
        "assert sorted({3, 1}) == [1, 3]",
        "import numpy as np\nassert (np.ones((9, 9)) @ np.ones((9, 9))).sum() == 729",
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    x: int\nassert A(1).x == 1 and __name__ == '__main__'",
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('x')",
        "open('here.txt', 'w').write('x')\nassert open('here.txt').read() == 'x'",
        "import threading\nr = []\nt = threading.Thread(target=lambda: r.append(1))\n"
        "t.start(); t.join()\nassert r == [1]",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\nasyncio.run(f())",
        "print('x' * 10_000_000)",
        "import sys\nassert sys.stdin.read() == '' and sys.argv == ['program.py']",
        "import os\nassert not set(os.environ) & {'HOME', 'PATH', 'USER', 'SHELL', 'LD_PRELOAD'}",
    ],
)
def test_ordinary_programs_pass(program: str) -> None:
    assert run_program(program) == ProgramResult(True)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("assert 1 == 2", "AssertionError"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os._exit(0)", "ended early with status 0"),
        ("import ctypes; ctypes.string_at(0)", "ended early with status -11"),
        ("while True: pass", "too much processor time"),
        ("x = bytearray(2 << 30)", "MemoryError"),
        ("with open('f', 'wb') as f:\n    f.write(bytes(2 << 20))", "OSError"),
        ("input()", "EOFError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("print('\\x00')\n'\ud800'", "UnicodeEncodeError"),
        ("def f(x: Undefined) -> None: ...", "NameError"),
    ],
)
def test_why_programs_fail(program: str, reason: str) -> None:
    assert run_program(program, SHORT) == ProgramResult(False, reason)


def test_a_program_that_sleeps_is_ended_by_the_clock() -> None:
    outcome = run_program("import time; time.sleep(600)", SandboxLimits(clock_seconds=1.0))
    assert outcome == ProgramResult(False, "too much time")


def test_a_program_that_depends_on_the_order_of_a_set_ends_the_same_way() -> None:
    program = "assert hash('a') % 2"
    assert len({run_program(program).passed for _ in range(5)}) == 1


def test_nothing_of_a_program_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = "import os\nos.makedirs('a/b'); open('a/b/c', 'w').write('x'); print(os.getcwd())"
    assert run_program(program).passed
    assert not run_program(program + "\nwhile True: pass", SHORT).passed
    assert not list(tmp_path.iterdir())


@walled
def test_there_is_no_network() -> None:
    for kind in ("AF_INET", "AF_INET6", "AF_UNIX"):
        outcome = run_program(f"import socket; socket.socket(socket.{kind})")
        assert outcome == ProgramResult(False, "PermissionError")


@walled
@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.execv('/bin/true', ['true'])",
        "import multiprocessing as m\nm.Process(target=print).start()",
    ],
)
def test_no_process_is_started(program: str) -> None:
    assert run_program(program, SHORT) == ProgramResult(False, "PermissionError")


@walled
def test_no_process_is_signalled() -> None:
    for target in ("os.getppid()", "0", "-1", str(os.getpid())):
        assert not run_program(f"import os, signal; os.kill({target}, signal.SIGKILL)").passed


@walled
def test_nothing_outside_is_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    mode = file.stat().st_mode
    for act in (
        f"open({str(file)!r}, 'w')",
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"import os; os.remove({str(file)!r})",
        f"import os; os.truncate({str(file)!r}, 0)",
        f"import os; os.chmod({str(file)!r}, 0)",
        f"import os; os.rename({str(file)!r}, 'stolen')",
        f"import os; os.link({str(file)!r}, 'stolen')",
        f"import shutil; shutil.rmtree({str(tmp_path)!r})",
    ):
        assert not run_program(act).passed, act
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "mine" and file.stat().st_mode == mode


@walled
def test_nothing_of_the_user_is_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("secret")
    assert run_program(f"open({str(file)!r})") == ProgramResult(False, "PermissionError")
    for other in (f"/proc/{os.getpid()}/environ", "/etc/passwd", __file__):
        assert run_program(f"open({other!r}).read()") == ProgramResult(False, "PermissionError")


def test_limits_cannot_be_lifted() -> None:
    program = "import resource as r; r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))"
    assert not run_program(program, SHORT).passed


def test_a_system_without_limits_on_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.os, "name", "nt")
    with pytest.raises(DatachefError, match="limits on processes"):
        run_program("pass")


def test_the_longest_block_of_python_is_the_code() -> None:
    assert code_of("x = 1") == "x = 1"
    assert code_of("Run:\n```bash\npip install a-very-long-name-of-a-package\n```\n"
                   "```python\nx = 1\n```") == "x = 1\n"  # fmt: skip
    assert code_of("```\ny = 2\n```\n```py\nlonger = 3\n```\nend") == "longer = 3\n"
    assert code_of("```python\nx = 1") == "x = 1"
    assert code_of("```python\n    return 1\n```") == "    return 1\n"


def item(answer: str = "", **row: str) -> BenchmarkItem:
    return BenchmarkItem("def f():\n", answer, (), row)


def test_programs_are_assembled_from_fields() -> None:
    row = item(tests="f()", setup="import os")
    made = assembled("{answer}\n{tests}", "x = '{tests}'", row)
    assert made == Program("", "x = '{tests}'", "\nf()")
    assert assembled("{prompt}{answer}\n", "    pass", row).text == "def f():\n    pass\n"
    marked = item(tests="a = 1\n  #SOLUTION#\nb = 2 #SOLUTION#")
    made = assembled("{tests}", "x = r'\\1'", marked)
    assert made == Program("a = 1\n", "x = r'\\1'", "\nb = 2 #SOLUTION#")
    assert assembled("#SOLUTION#\n{setup}", "y", row).text == "y\nimport os"
    assert assembled("{answer}\nx\n{answer}\nz", "y", row) == Program("", "y\nx\ny", "\nz")
    with pytest.raises(DatachefError, match="no field 'check'"):
        assembled("{answer}\n{check}", "x", row)
    with pytest.raises(DatachefError, match="no place for the answer"):
        assembled("{tests}", "x", row)


def test_what_is_not_tested_has_no_verdict() -> None:
    judge = make_metric("unit_tests", allow_code=True, program="{tests}\n{answer}")
    with pytest.raises(DatachefError, match="nothing tests it"):
        judge.score("x = 1", item(tests="y = 1"))


def test_tests_that_the_answer_would_have_to_complete_are_told() -> None:
    judge = make_metric("unit_tests", allow_code=True, program="f(\n{answer}\n{tests}")
    with pytest.raises(DatachefError, match="no Python by itself"):
        judge.score("1", item(tests=") == 2"))


def test_answers_are_tested() -> None:
    tested = item("", tests="assert f(2) == 4")
    judge = make_metric("unit_tests", allow_code=True)
    assert judge.score("def f(x):\n    return x * x", tested)
    assert judge.score("Sure:\n```python\ndef f(x):\n    return 2 * x\n```", tested)
    assert not judge.score("def f(x):\n    return x", tested)
    assert not judge.score("I do not know.", tested)
    assert not judge.score("import sys; sys.exit()", tested)
