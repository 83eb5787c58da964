"""A plugin that ends, stops or changes the process that loads it is named; the rest works."""

from __future__ import annotations

import locale
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import command
import pytest

from datachef.core import Host

GOOD = """
import os, sys, time
from typing import Literal
from datachef.core import TextTransform, hookimpl

class Good(TextTransform):
    "Does nothing."
    op: Literal["good"] = "good"
    def rewrite(self, text):
        return text

@hookimpl
def datachef_operators():
    return [Good]
"""


def chef(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    variables = {"DATACHEF_PLUGINS": "engines,sources"} | variables
    return command.chef(*arguments, "--plugin", "good.py", folder=folder, **variables)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(GOOD)
    return tmp_path


def odd(folder: Path, code: str) -> list[str]:
    (folder / "odd.py").write_text(code)
    return ["--plugin", "odd.py"]


# At import, and what is said of it: what would end the process silently, and with success.
ENDS = {
    "sys.exit": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "SystemExit": ("raise SystemExit", "SystemExit"),
    "os._exit": ("import os; os._exit(0)", "os._exit() would end"),
    "_exit by name": ("from os import _exit; _exit(0)", "os._exit() would end"),
    "posix._exit": ("import posix; posix._exit(0)", "os._exit() would end"),
    "abort": ("import os; os.abort()", "os.abort() would end"),
    "exec": ("import os; os.execv('/bin/true', ['true'])", "os.execv() would end"),
    "execvp": ("import os; os.execvp('true', ['true'])", "() would end"),
    "fork": ("import os; os.fork()", "os.fork() would end or double"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "it raised KeyboardInterrupt"),
    "BaseException": ("raise BaseException('rude')", "BaseException: rude"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_what_would_end_the_process_is_the_plugins_own_trouble(folder: Path, kind: str) -> None:
    code, cause = ENDS[kind]
    odd(folder, code)
    for body in (code, f"{GOOD}\n@hookimpl\ndef datachef_sources():\n    {code}\n"):
        (folder / "odd.py").write_text(body)
        host = Host([str(folder / "odd.py")], only={"sources", "engines"})
        _ = host.vocabulary
        (broken,) = host.broken
        assert cause in broken.error
        assert "odd.py:" in broken.error


def test_no_command_succeeds_in_silence(folder: Path) -> None:
    done = chef(folder, "ops", "good", *odd(folder, "import os; os._exit(0)"))
    assert "good (transform, version 1)" in done.stdout
    assert "warning: plugin odd" in done.stderr
    assert done.returncode == 0


# What nothing in the same process can hold up.
FATAL = {
    "import ctypes; ctypes.CDLL(None).exit(0)": "loading it ends the process: it ended",
    "import ctypes; ctypes.string_at(0)": "it crashed (SIGSEGV)",
    "import os; os.kill(os.getpid(), 9)": "it was killed (SIGKILL)",
    "while True: pass": "loading it does not come to an end (5 s)",
    "import re; re.match('(a+)+b', 'a' * 60)": "loading it does not come to an end (5 s)",
}


@pytest.mark.parametrize("command", ["doctor", "plugins"])
def test_doctor_and_plugins_outlive_every_plugin(folder: Path, command: str) -> None:
    given: list[str] = []
    for number, code in enumerate(FATAL):
        (folder / f"odd{number}.py").write_text(code)
        given += ["--plugin", f"odd{number}.py"]
    done = chef(folder, command, *(["--json"] if command == "plugins" else []), *given,
                DATACHEF_PLUGIN_SECONDS="20")  # fmt: skip
    assert done.returncode == (1 if command == "doctor" else 0)
    for number, cause in enumerate(FATAL.values()):
        assert f"odd{number}" in done.stdout
        assert cause.replace("(5 s)", "(20 s)") in done.stdout
    assert "good" in done.stdout or command == "doctor"


HANGS = {
    "at import": "import time; time.sleep(9999)",
    "in a loop": "while True: pass",
    "in a hook": f"{GOOD}\n@hookimpl\ndef datachef_commands(app):\n    time.sleep(9999)\n",
}


@pytest.mark.parametrize("kind", HANGS)
def test_an_import_without_end_ends_every_other_command(folder: Path, kind: str) -> None:
    done = chef(folder, "ops", *odd(folder, HANGS[kind]), DATACHEF_PLUGIN_SECONDS="4")
    assert done.returncode == 3
    what = "datachef_commands" if "hook" in kind else "its import"
    assert f"error: plugin odd ({folder / 'odd.py'}): {what} does not come to an end (4 s)" in (
        done.stderr
    )
    assert "DATACHEF_PLUGIN_SECONDS" in done.stderr


def test_compiled_code_without_end_is_ended_too(folder: Path) -> None:
    code = "import re\nre.match('(a+)+b', 'a' * 60)\n"
    done = chef(folder, "ops", *odd(folder, code), DATACHEF_PLUGIN_SECONDS="1")
    assert done.returncode != 0
    assert 'odd.py", line 2' in done.stderr


def test_patience_is_a_number_of_seconds(folder: Path) -> None:
    for value in ("soon", "0", "-1", "nan", "inf"):
        done = chef(folder, "ops", DATACHEF_PLUGIN_SECONDS=value)
        assert done.returncode == 1
        assert f"DATACHEF_PLUGIN_SECONDS is '{value}'" in done.stderr


def test_what_an_import_changes_of_the_process_is_undone(folder: Path) -> None:
    code = (
        "import locale, os, random, signal, sys, threading\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, print)\n"
        "signal.alarm(1); random.seed(1); sys.excepthook = threading.excepthook = print\n"
        "sys.setrecursionlimit(99); os.chdir('/'); sys.stdout = sys.stderr = None\n"
        "locale.setlocale(locale.LC_ALL, 'C')\n"
    )
    odd(folder, code)
    before = (
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        random.getstate(), locale.setlocale(locale.LC_ALL), sys.excepthook,
        sys.getrecursionlimit(), Path.cwd(), sys.stdout, sys.stderr, os.fork, os._exit,
    )  # fmt: skip
    host = Host([str(folder / "odd.py")], only=())
    assert host.broken == []
    after = (
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        random.getstate(), locale.setlocale(locale.LC_ALL), sys.excepthook,
        sys.getrecursionlimit(), Path.cwd(), sys.stdout, sys.stderr, os.fork, os._exit,
    )  # fmt: skip
    assert after == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


STREAMS = {
    "wrapped": "sys.{0} = io.TextIOWrapper(sys.{0}.buffer, encoding='utf-8')",
    "closed": "sys.{0}.close()",
    "gone": "sys.{0} = None",
}


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_outlive_a_plugin_that_replaces_them(folder: Path, kind: str) -> None:
    code = "import io, sys\n" + "\n".join(STREAMS[kind].format(s) for s in ("stdout", "stderr"))
    done = chef(folder, "ops", "good", *odd(folder, f"{code}\nraise ValueError('odd')\n"))
    assert "good (transform, version 1)" in done.stdout
    assert "warning: plugin odd" in done.stderr
    assert "ValueError: odd (odd.py:4)" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        "app.command('run')(f)",
        "app.command()(run)",
        "group = typer.Typer(); group.command('run')(f); app.add_typer(group)",
        "app.add_typer(typer.Typer(callback=f), name='run')",
        "app.command('doctor')(f); app.command('check')(f)",
    ],
)
def test_a_command_of_ours_stays_ours(folder: Path, command: str) -> None:
    code = f"""
import typer
from datachef.core import hookimpl
def f():
    "Mine."
    print("mine")
def run():
    "Mine."
    print("mine")
@hookimpl
def datachef_commands(app):
    {command}
"""
    done = chef(folder, "run", "--help", *odd(folder, code))
    assert "Run a recipe and print its ledger" in done.stdout
    assert "is a command of chef itself already" in done.stderr


def test_an_import_may_be_interrupted(folder: Path) -> None:
    (folder / "odd.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(9999)\n")
    process = subprocess.Popen(
        [*command.CHEF, "ops", "--plugin", "odd.py"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"DATACHEF_PLUGINS": ""},
    )  # fmt: skip
    assert process.stderr is not None
    while "begun" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in said
