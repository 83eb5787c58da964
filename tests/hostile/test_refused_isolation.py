"""Programs that are judged where the system refuses a layer of isolation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxed import BOMBS, CONFINED, X86

pytestmark = CONFINED

LEFT = {
    "modes": "import os\nos.mkdir('b', 0o111)\nos.umask(0o777)\nos.mkdir('a')\nopen('x', 'w')",
    "an unreadable folder": "import os\nos.mkdir('a')\nopen('a/x', 'w')\nos.mkdir('a/b', 0)\n"
                            "os.mkdir('c', 0o300)\nopen('c/y', 'w')",
    "links": "import os\nos.symlink('/', 'root')\nos.symlink('b', 'a')\nos.symlink('a', 'b')\n"
             "open('x', 'w')\nos.link('x', 'y')",
    "names": "import os\nopen(b'\\xff\\n\\x1b', 'w')\nopen('-rf', 'w')\nopen('x' * 255, 'w')",
}  # fmt: skip
# Refuses some system calls, as a container may.
REFUSING = """
import ctypes, json, struct, sys, tempfile
refused, folder, given = json.loads(sys.argv[1])
tempfile.tempdir = folder
libc = ctypes.CDLL(None, use_errno=True)
lines = [(0x20, 0, 0, 0)]
for number in refused:
    lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050001)]
lines.append((0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
libc.prctl(38, 1, 0, 0, 0)
libc.prctl(22, 2, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)), 0, 0)
"""
CHEF = (
    REFUSING
    + """
sys.argv = ["chef", *given]
from datachef.core.cli import main
main()
"""
)
# Runs a program confined, and unconfined.
RESTRICTED = (
    REFUSING
    + """
program = given
from datachef.core import DatachefError
from datachef.reward.metrics.sandbox import SandboxLimits, run_program
limits = SandboxLimits(10, 60.0, 1 << 30, 4 << 20, 8 << 20, 200, 64)
from datachef.reward.metrics import make_metric
for allowed in (True, "unconfined"):
    try:
        make_metric("unit_tests", allow_code=allowed)
    except DatachefError as error:
        print("refused", error.hint, file=sys.stderr)
for unconfined in (False, True):
    try:
        outcome = run_program(program, limits, unconfined=unconfined)
        print("passed" if outcome.passed else outcome.reason)
    except DatachefError as error:
        print(error)
"""
)
UNSHARE, LANDLOCK, SECCOMP = 272, 444, 157


def refusing(
    refused: list[int], folder: Path, script: str, given: object
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, json.dumps([refused, str(folder), given])]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def restricted(refused: list[int], folder: Path, program: str) -> tuple[list[str], str]:
    """How a program ends confined, and unconfined where it must be, and why a metric is refused."""
    done = refusing(refused, folder, RESTRICTED, program)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


@X86
@pytest.mark.parametrize("name", [*LEFT, "many large files", "nested folders", "removed files"])
def test_a_disk_without_bounds_of_its_own_is_watched_and_emptied(name: str, tmp_path: Path) -> None:
    program = LEFT.get(name) or BOMBS[name][0] + "\nimport time; time.sleep(60)"
    (confined, _), refused = restricted([UNSHARE], tmp_path, program)
    assert not refused
    assert confined == ("passed" if name in LEFT else "too much on the disk")
    assert not list(tmp_path.iterdir())


@X86
@pytest.mark.parametrize("refused", [LANDLOCK, SECCOMP])
def test_without_isolation_nothing_is_run_unless_allowed(refused: int, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    folder = tmp_path / "scratch"
    folder.mkdir()
    (refusal, allowed), told = restricted([refused], folder, "x = 1")
    assert told.count("refused") == 1 and "--allow-code=unconfined" in told
    assert "cannot be confined here: no layer around" in refusal
    assert allowed == "passed"
    (refusal, _), _ = restricted([refused], folder, f"open({str(ran)!r}, 'a').write('x')")
    assert "cannot be confined here" in refusal
    if refused == LANDLOCK:
        assert ran.read_text() == "x"  # by the second run alone


@X86
def test_the_command_refuses_before_it_trains_and_says_how_to_insist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Double.", "completion": "x"}\n' * 9)
    (tmp_path / "bench.jsonl").write_text(
        '{"prompt": "Double.", "answer": "def f(x): return 2 * x", "tests": "assert f(2) == 4"}\n'
    )
    (tmp_path / "task.yaml").write_text(
        "name: t\nmetric: unit_tests\nbase_model: tiny\nbenchmark: {path: bench.jsonl}\n"
    )
    (tmp_path / "recipe.yaml").write_text(
        "name: r\nsources: {a: {path: rows.jsonl, format: {prompt: prompt}}}\n"
    )
    command = ["evaluate", "recipe.yaml", "--task", "task.yaml", "--seeds", "1"]
    done = refusing([LANDLOCK], tmp_path, CHEF, [*command, "--allow-code"])
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "cannot be confined here: no layer around files" in said, said
    assert "--allow-code=unconfined" in said and "Traceback" not in said
    shown = refusing([LANDLOCK], tmp_path, CHEF, ["doctor", "--json"])
    layers = {one["what"]: one["state"] for one in json.loads(shown.stdout)["result"]}
    assert layers["isolation: files"] == "absent"
    assert layers["isolation: system calls"] == "ok"
