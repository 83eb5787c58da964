"""A process that dies anywhere, or a machine, leaves the old or the new, whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core.system import atomic
from datachef.core.system.atomic import clear_leftovers, replacing, write_atomically, write_record

# Does the same again and again in processes of their own, each of which dies before one more of the
# things that it has done to the file system.
DIES_EVERYWHERE = """
import os, shutil, sys
from pathlib import Path
from datachef.core.system import atomic
from datachef.core.system.lock import locked

place, way = Path(sys.argv[1]), sys.argv[2]
if way == "two renames":
    atomic._exchanged = lambda one, other: False

def work(folder):
    if way == "file":
        atomic.write_atomically(folder / "file", b"new" * 1000)
        return
    with locked(folder), atomic.replacing(folder) as staging:
        (staging / "data").mkdir()
        for name in ("one", "two", "data/three"):
            (staging / name).write_text("new")

TOUCHES = ("open", "os.", "shutil.", "ctypes.dlopen", "ctypes.dlsym", "fcntl.")

def dying(folder, moment):
    done = 0
    def hook(event, arguments):
        nonlocal done
        if event.startswith(TOUCHES):
            done += 1
            if done == moment:
                os._exit(9)
    sys.addaudithook(hook)
    work(folder)
    os._exit(0)

work(place / "warm")
moment, status = 0, 9
while status == 9:
    moment += 1
    folder = place / str(moment) / "corpus"
    folder.mkdir(parents=True)
    for name in ("file",) if way == "file" else ("one", "old"):
        (folder / name).write_text("old" * 1000 if way == "file" else "old")
    child = os.fork()
    if child == 0:
        dying(folder, moment)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, moment)
"""

OLD = {"one": "old", "old": "old"}
NEW = {"one": "new", "two": "new", "data/three": "new"}


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.parametrize("way", ["swap", "two renames"])
def test_a_folder_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path, way: str) -> None:
    command = [sys.executable, "-c", DIES_EVERYWHERE, str(tmp_path), way]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    status, moments = map(int, said)
    assert status == 0
    assert moments > 20
    seen = []
    for moment in range(1, moments + 1):
        folder = tmp_path / str(moment) / "corpus"
        if way == "swap":  # also for who reads it before the next run
            assert content(folder) in (OLD, NEW), moment
        clear_leftovers(folder)
        assert content(folder) in (OLD, NEW), moment
        assert [p.name for p in folder.parent.iterdir() if p.suffix != ".lock"] == ["corpus"]
        seen.append(content(folder) == NEW)
    assert seen == sorted(seen)  # once it is the new one, it stays so
    assert set(seen) == {False, True}


def test_a_new_folder_that_cannot_be_named_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "one").write_text("old")
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError(errno.ENOSPC, "full", str(path))
        return rename(path, target)

    monkeypatch.setattr(atomic, "_exchanged", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="full"), replacing(folder) as staging:
        (staging / "one").write_text("new")
    assert content(tmp_path) == {"corpus/one": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIES_EVERYWHERE, str(tmp_path), "file"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    status, moments = map(int, said)
    assert status == 0
    for moment in range(1, moments + 1):
        file = tmp_path / str(moment) / "corpus" / "file"
        assert file.read_bytes() in (b"old" * 1000, b"new" * 1000)
        write_atomically(file, b"next")
        assert [path.name for path in file.parent.iterdir()] == ["file"]


class Recorder:
    """What reached the disk when a name was given, in the order of events."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        fsync = os.fsync

        def recorded(descriptor: int) -> None:
            self.events.append(("flushed", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", recorded)

    def noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(one: Path, *arguments: Any) -> Any:
            self.events.append(("named", str(one)))
            return function(one, *arguments)

        return noted

    def flushed_before_the_name(self) -> set[str]:
        names = [index for index, (event, _) in enumerate(self.events) if event == "named"]
        return {path for event, path in self.events[: names[0]] if event == "flushed"}

    def flushed_after_the_name(self) -> set[str]:
        names = [index for index, (event, _) in enumerate(self.events) if event == "named"]
        return {path for event, path in self.events[names[-1] :] if event == "flushed"}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells the name of a descriptor")
    return Recorder(monkeypatch)


@pytest.mark.parametrize("there", [True, False], ids=["replaced", "new"])
def test_all_of_a_folder_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    folder = tmp_path / "corpus"
    if there:
        folder.mkdir()
    monkeypatch.setattr(atomic, "_put", recorder.noting(atomic._put))
    with replacing(folder) as staging:
        (staging / "data").mkdir()
        (staging / "data" / "file").write_text("new")
        written = {str(staging), str(staging / "data"), str(staging / "data" / "file")}
    assert written <= recorder.flushed_before_the_name()
    assert str(tmp_path) in recorder.flushed_after_the_name()


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", recorder.noting(Path.replace))
    write_atomically(tmp_path / "file", b"new")
    (before,) = recorder.flushed_before_the_name()
    assert Path(before).name.startswith(".file.")
    assert recorder.flushed_after_the_name() == {str(tmp_path)}


def test_an_answer_that_was_paid_for_is_on_the_disk(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", recorder.noting(Path.replace))
    write_record(tmp_path / "ab" / "record", tmp_path, "record", {}, durable=True)
    (before,) = recorder.flushed_before_the_name()
    assert Path(before).name.startswith(".record.")
    assert recorder.flushed_after_the_name() == {str(tmp_path / "ab")}


def test_a_corpus_is_on_the_disk_before_it_has_its_name(
    make_corpus: Callable[..., Any],
    tmp_path: Path,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = tmp_path / "a.jsonl"
    rows.write_text('{"text": "row"}\n')
    monkeypatch.setattr(atomic, "_put", recorder.noting(atomic._put))
    make_corpus(str(rows))
    flushed = {Path(path).name for path in recorder.flushed_before_the_name()}
    assert {path.name for path in (tmp_path / "corpus").rglob("*") if path.is_file()} <= flushed
