"""One process writes a folder, and the others are told which."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datachef.core import RunError
from datachef.core.system.lock import locked

HOLDS = """
import sys
from pathlib import Path
from datachef.core.system.lock import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

FORKS = """
import os, sys, time
from pathlib import Path
from datachef.core.system.lock import locked

with locked(Path(sys.argv[1])):
    if os.fork() == 0:
        # the parent could be killed before this child has run its first instruction
        print("held", flush=True)
        time.sleep(60)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "corpus"


def start(folder: Path, code: str = HOLDS) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(folder)
    yield process
    process.kill()
    process.communicate()


def lock_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def test_the_second_is_told_who_is_first(folder: Path, holder: subprocess.Popen[str]) -> None:
    said = rf"written by process {holder.pid} on "
    with pytest.raises(RunError, match=said) as raised, locked(folder):
        pass
    assert "wait" in raised.value.hint


def test_another_name_of_the_folder_is_the_same_lock(
    folder: Path, holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(RunError, match=f"process {holder.pid}"), locked(link):
        pass


def test_two_threads_of_one_process_do_not_share_it(folder: Path) -> None:
    with locked(folder), pytest.raises(RunError, match=f"process {os.getpid()}"), locked(folder):
        pass
    with locked(folder):
        assert lock_file(folder).exists()
    assert not lock_file(folder).exists()


def test_the_lock_of_a_killed_process_is_free(folder: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert lock_file(folder).exists()
    with locked(folder):
        pass
    assert not lock_file(folder).exists()


def test_a_child_does_not_keep_the_lock_of_its_parent(folder: Path) -> None:
    process = start(folder, FORKS)
    try:
        process.kill()
        process.wait()
        with locked(folder):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_another_machine_is_believed(folder: Path) -> None:
    said = {"pid": 1, "host": "elsewhere", "boot": "another", "command": "chef run", "since": "now"}
    lock_file(folder).write_text(json.dumps(said))
    with pytest.raises(RunError, match="process 1 on elsewhere") as raised, locked(folder):
        pass
    assert f"delete {lock_file(folder)}" in raised.value.hint


def test_a_container_of_another_name_is_this_machine(folder: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("no boot id on this system")
    said = {"pid": 1, "host": "container", "boot": boot.read_text().strip(), "command": "chef run"}
    lock_file(folder).write_text(json.dumps(said | {"since": "now"}))
    with locked(folder):
        pass


@pytest.mark.parametrize("content", ["", "{", '{"pid": 3}'])
def test_a_file_that_says_nothing_keeps_nobody_out(folder: Path, content: str) -> None:
    lock_file(folder).write_text(content)
    with locked(folder):
        pass


@pytest.mark.parametrize("link", [False, True])
def test_a_file_of_somebody_else_is_left_alone(folder: Path, tmp_path: Path, link: bool) -> None:
    precious = tmp_path / "precious" if link else lock_file(folder)
    precious.write_text("my notes")
    if link:
        lock_file(folder).symlink_to(precious)
    with pytest.raises(RunError, match="is not a lock of datachef"), locked(folder):
        pass
    assert precious.read_text() == "my notes"
