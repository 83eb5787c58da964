"""However a command ends, it ends in words, with an exit code, and with the trace for who asks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import CHEF

Chef = Callable[..., "subprocess.CompletedProcess[str]"]

# A command whose code is not a plugin's of others: it replaces one of ours with what fails.
SPOILED = """
import sys
from datachef.core import api
from datachef.core.cli import main

def spoiled(*_, **__):
    {body}

api.check_recipe = spoiled
sys.argv = ["chef", *sys.argv[1:]]
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text('{"text": "some words"}\n')
    (tmp_path / "recipe.yaml").write_text("name: a\nsources:\n  rows: {path: rows.jsonl}\n")
    return tmp_path


def run(
    folder: Path, command: list[str], *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=os.environ | variables, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def spoiled(folder: Path, body: str) -> list[str]:
    script = folder / "spoiled.py"
    script.write_text(SPOILED.format(body=body))
    return [sys.executable, str(script)]


def trace_of(said: str) -> str:
    found = re.search(r"the trace is in (\S+\.txt); --debug shows it", said)
    assert found, said
    file = Path(found[1])
    try:
        return file.read_text()
    finally:
        file.unlink()


def test_a_bug_says_that_it_is_one_and_keeps_its_trace(folder: Path, tmp_path: Path) -> None:
    command = spoiled(folder, "return {}['nothing']")
    done = run(folder, command, "check", "recipe.yaml", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: a bug of datachef, not a mistake of yours: KeyError: 'nothing'" in done.stderr
    assert "Traceback" in trace_of(done.stderr)


def test_an_exception_without_words_is_told_by_its_name(folder: Path) -> None:
    body = "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})"
    done = run(folder, spoiled(folder, body), "check", "recipe.yaml")
    assert "not a mistake of yours: Mute: (it cannot be printed)" in done.stderr
    assert "Mute" in trace_of(done.stderr)


@pytest.mark.parametrize("asked", ["option", "environment"])
def test_the_trace_is_shown_to_who_asks(folder: Path, asked: str) -> None:
    command = spoiled(folder, "return {}['nothing']")
    if asked == "option":
        done = run(folder, command, "check", "--debug", "recipe.yaml")
    else:
        done = run(folder, command, "check", "recipe.yaml", DATACHEF_DEBUG="1")
    assert "Traceback (most recent call last)" in done.stderr
    assert "the trace is in" not in done.stderr
    assert done.returncode == 1


def test_a_library_that_fails_is_named(folder: Path) -> None:
    body = "import polars; polars.DataFrame({'a': [1]}).select('b')"
    done = run(folder, spoiled(folder, body), "check", "recipe.yaml")
    assert "error: polars failed: ColumnNotFoundError: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "polars" in trace_of(done.stderr)


def test_a_trace_that_cannot_be_kept_is_promised_to_debug(folder: Path) -> None:
    body = "import tempfile; tempfile.tempdir = '/nowhere'; raise KeyError('nothing')"
    done = run(folder, spoiled(folder, body), "check", "recipe.yaml")
    assert "hint: please report it\n    with --debug it shows the trace" in done.stderr


def test_a_mistake_of_the_user_has_no_trace_until_it_is_asked_for(folder: Path) -> None:
    plain = run(folder, CHEF, "run", "nothing.yaml")
    asked = run(folder, CHEF, "--debug", "run", "nothing.yaml")
    assert "trace" not in plain.stderr.lower()
    assert "Traceback" in asked.stderr
    assert (plain.returncode, asked.returncode) == (2, 2)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_take_nothing_along(folder: Path, closed: str) -> None:
    line = f"{' '.join(CHEF)} run recipe.yaml --output out --cache cache --workers 1 {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (folder / "out" / "manifest.json").exists()


def test_who_stops_reading_ends_the_command_in_silence(folder: Path) -> None:
    with subprocess.Popen(
        [*CHEF, "schema"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_working_folder_that_is_gone_is_told(folder: Path) -> None:
    (folder / "gone").mkdir()
    line = f"rmdir ../gone; {' '.join(CHEF)} run {folder}/recipe.yaml"
    done = run(folder / "gone", ["/bin/sh", "-c", line])
    assert done.stderr.startswith("error: the working folder is not there any more\nhint: ")
    assert done.returncode in (1, 4)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", "/dev/null/below", "dangling"])
def test_a_cache_that_is_no_folder(folder: Path, place: str) -> None:
    (folder / "dangling").symlink_to("/dev/null")
    done = run(folder, CHEF, "run", "recipe.yaml", "--cache", place)
    assert "it is a file where a folder is needed\nhint: " in done.stderr
    assert done.returncode == 4
    doctor = run(folder, CHEF, "doctor", DATACHEF_CACHE=place)
    assert "cannot be written" in doctor.stdout
    assert doctor.returncode == 1


@pytest.mark.parametrize(
    "variables",
    [{"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}, {"HOME": "/nowhere"}, {"HOME": ""}],
)
def test_odd_environments_make_no_difference(folder: Path, variables: dict[str, str]) -> None:
    (folder / "rows.jsonl").write_text('{"text": "größer 数学"}\n')
    arguments = ("run", "recipe.yaml", "--cache", "cache", "--workers", "1")
    done = run(folder, CHEF, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    assert (folder / "corpus" / "a" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("ledger", "manifest"),
    [
        ('[{"rows_in": 1}]', "{}"),
        ('[{"path": "a", "op": "b", "rows_in": 1, "rows_out": "x"}]', "{}"),
        (
            '[{"path": "a", "op": "b", "rows_in": 1, "rows_out": "x", "dropped": {}, '
            '"failed": {}}]',
            "{}",
        ),
        ("[]", '{"shares": 3}'),
        ("[]", '{"shares": [{"asked": 1}]}'),
        ("[]", '{"warnings": [{"said": "x"}]}'),
    ],
)
def test_a_ledger_of_somebody_else_is_no_bug(folder: Path, ledger: str, manifest: str) -> None:
    (folder / "ledger.json").write_text(ledger)
    (folder / "manifest.json").write_text(manifest)
    done = run(folder, CHEF, "report", ".")
    assert "error: the ledger or the manifest of . is not what a run writes" in done.stderr
    assert (done.returncode, done.stdout) == (1, "")
