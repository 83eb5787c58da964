"""Files and folders are there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from datachef.core.system import atomic
from datachef.core.system.atomic import clear_leftovers, replacing, write_atomically

DIES = """
import os, signal, sys
from pathlib import Path
from datachef.core.system import atomic

atomic._exchanged = lambda one, other: False
rename = Path.rename

def dying(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)

Path.rename = dying
with atomic.replacing(Path(sys.argv[1])) as staging:
    (staging / "file").write_text("new")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    path.mkdir()
    (path / "file").write_text("old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("swaps", [True, False], ids=["swap", "two renames"])
def test_a_folder_is_replaced_as_a_whole(
    folder: Path, swaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not swaps:
        monkeypatch.setattr(atomic, "_exchanged", lambda one, other: False)
    with replacing(folder) as staging:
        (staging / "other").write_text("new")
        assert (folder / "file").read_text() == "old"
    assert names(folder) == ["other"]
    assert names(folder.parent) == ["corpus"]


def test_a_folder_is_swapped_in_one_step_here(folder: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux swaps folders")
    identity = folder.stat().st_ino
    with replacing(folder) as staging:
        fresh = staging.stat().st_ino
    assert folder.stat().st_ino == fresh != identity


def test_what_goes_wrong_leaves_the_old_folder(folder: Path) -> None:
    with suppress(ZeroDivisionError), replacing(folder) as staging:
        (staging / "other").write_text("new")
        raise ZeroDivisionError
    assert names(folder) == ["file"]
    assert names(folder.parent) == ["corpus"]


def test_a_link_stays_a_link(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    with replacing(link) as staging:
        (staging / "file").write_text("new")
    assert link.is_symlink()
    assert (folder / "file").read_text() == "new"


def test_a_kill_between_the_renames_is_mended(folder: Path) -> None:
    process = subprocess.run([sys.executable, "-c", DIES, str(folder)], check=False)
    assert process.returncode == -9
    assert not folder.exists()
    clear_leftovers(folder)
    assert (folder / "file").read_text() == "old"
    assert names(folder.parent) == ["corpus"]


def test_leftovers_of_another_folder_are_left_alone(folder: Path) -> None:
    others = [f".corpus.b.{'0' * 32}.partial", ".corpus.partial", f".corpusb.{'0' * 32}.old"]
    for name in others:
        (folder.parent / name).mkdir()
    clear_leftovers(folder)
    assert names(folder.parent) == sorted([*others, "corpus"])


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(self: Path, raw: bytes) -> int:
        os.close(os.open(self, os.O_CREAT))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert names(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"
