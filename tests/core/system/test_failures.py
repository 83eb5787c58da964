"""What the system refuses is one line with path, cause and remedy, and never a traceback."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from command import CHEF, chef as run_chef

from datachef.core import DatachefError, RunError
from datachef.core.system.failures import ending_runs, explained, naming, system_error

Chef = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose rows take some hundred kilobytes that cannot be compressed away."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    rows = [json.dumps({"text": os.urandom(400).hex()}) + "\n" for _ in range(900)]
    (folder / "rows.jsonl").write_text("".join(rows))
    path = folder / "recipe.yaml"
    path.write_text("name: some\nsources:\n  rows: {path: rows.jsonl}\n")
    return path


@pytest.fixture
def chef(tmp_path: Path) -> Chef:
    """Runs `chef` in an empty folder; `file_limit` bounds the size of each file it writes."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(
        *arguments: object, file_limit: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit or 0, file_limit or 0))

        bounded = limit if file_limit else None
        return run_chef(*arguments, folder=folder, limit=bounded, **variables)

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount, unmount = shutil.which("mount") or "mount", shutil.which("umount") or "umount"
    command = [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder]
    if (
        sys.platform != "linux"
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run([unmount, folder], check=True)


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of the error, after which there is a hint and nothing else."""
    assert done.returncode == code, done.stderr
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    return error


def test_a_full_disk_under_the_cache(chef: Chef, recipe: Path, small_disk: Path) -> None:
    error = told(chef("run", recipe, "--cache", small_disk / "cache"), 5)
    assert f"cannot use {small_disk}/cache/partitions/" in error
    assert error.endswith("no space is left on the disk")
    assert not (recipe.parent.parent / "here" / "corpus" / "some").exists()


@pytest.mark.parametrize("form", ["parquet", "jsonl", "jsonl.zst"])
def test_a_full_disk_under_the_output(
    chef: Chef, recipe: Path, small_disk: Path, form: str, tmp_path: Path
) -> None:
    settings = ("--set", f"output.format={form}", "--cache", tmp_path / "cache")
    error = told(chef("run", recipe, "--output", small_disk / "out", *settings), 5)
    assert f"cannot use {small_disk}/out/data/train-00000-of-00001.{form}" in error
    assert error.endswith("no space is left on the disk")
    assert list(small_disk.iterdir()) == []
    done = chef("run", recipe, "--output", tmp_path / "out", *settings, "--json")
    result = json.loads(done.stdout)["result"]
    assert (result["rows"], result["partitions_cached"]) == (900, result["partitions"])


def test_a_read_only_disk(chef: Chef, recipe: Path, small_disk: Path, tmp_path: Path) -> None:
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-o", "remount,ro", small_disk], check=True)
    for options in (("--cache", small_disk / "x"), ("--output", small_disk / "x")):
        error = told(chef("run", recipe, *options), 5)
        assert error == f"error: cannot use {small_disk}/x: the file system is read-only"
    doctor = chef("doctor", "--json", DATACHEF_CACHE=str(small_disk / "x"))
    found = {one["what"]: one for one in json.loads(doctor.stdout)["result"]}
    assert found["cache"]["state"] == "bad"


def test_files_that_may_not_grow(chef: Chef, recipe: Path) -> None:
    error = told(chef("run", recipe, file_limit=50_000), 5)
    assert "corpus" not in error
    assert error.endswith("the file becomes larger than is allowed here")


@pytest.mark.parametrize("option", ["--cache", "--output"])
@pytest.mark.parametrize("below", ["", "a/folder"])
def test_a_folder_that_is_a_file(
    chef: Chef, recipe: Path, option: str, below: str, tmp_path: Path
) -> None:
    file = tmp_path / "a file"
    file.write_text("mine\n")
    error = told(chef("run", recipe, option, file / below), 4)
    assert str(file) in error
    assert file.read_text() == "mine\n"
    if option == "--cache":
        assert error == f"error: cannot use {file}: it is a file where a folder is needed"


def test_the_cache_of_the_environment_is_a_file(chef: Chef, recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.touch()
    error = told(chef("run", recipe, DATACHEF_CACHE=str(file)), 4)
    assert error == f"error: cannot use {file}: it is a file where a folder is needed"


@pytest.mark.parametrize(("output", "cache"), [("c/out", "c"), ("c", "c"), ("out", "out/c")])
def test_corpus_and_cache_do_not_lie_in_each_other(
    chef: Chef, recipe: Path, output: str, cache: str, tmp_path: Path
) -> None:
    error = told(chef("run", recipe, "--output", tmp_path / output, "--cache", tmp_path / cache), 4)
    assert "would lie one in the other" in error
    assert not (tmp_path / output).exists()


@pytest.mark.parametrize(
    "arguments", ["ops", "ops --json", "doctor", "--help", "schema", "--version"]
)
def test_what_is_printed_cannot_be_written(arguments: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*CHEF, *arguments.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert told(done, 5) == "error: cannot read or write: no space is left on the disk"


def test_a_file_to_write_is_full_or_in_the_way(chef: Chef, tmp_path: Path) -> None:
    error = told(chef("schema", "--output", "/dev/full"), 5)
    assert error == "error: cannot use /dev/full: no space is left on the disk"
    assert "it is a folder where a file is needed" in told(chef("schema", "-o", tmp_path), 1)
    gone = tmp_path / "gone" / "schema.json"
    assert told(chef("schema", "-o", gone), 1).endswith(f"{gone}: no such file or folder")


def test_an_operator_that_cannot_read_tells_which_file(chef: Chef, recipe: Path) -> None:
    plugin = recipe.with_name("reading.py")
    plugin.write_text(
        "from typing import Literal\n"
        "import polars as pl\n"
        "from datachef.core import Filter, hookimpl\n"
        "class Reading(Filter):\n"
        '    """Reads a file that is gone."""\n'
        '    op: Literal["reading"] = "reading"\n'
        "    def signals(self):\n"
        '        return {"size": lambda batch: pl.Series([len(open("/gone").read())])}\n'
        "    def rules(self):\n"
        '        return {"small": pl.col("size") < 1}\n'
        "@hookimpl\n"
        "def datachef_operators():\n"
        "    return [Reading]\n"
    )
    recipe.write_text(recipe.read_text() + "steps:\n  - op: reading\n")
    done = chef("run", recipe, "--plugin", plugin)
    assert "Traceback" not in done.stderr
    assert "/gone" in done.stderr
    assert done.returncode == 3


def test_libraries_that_use_words_of_their_own() -> None:
    polars = pl.exceptions.ComputeError("parquet: IO error: No space left (os error 28)")
    found = system_error(polars)
    assert found is not None
    assert found.errno == errno.ENOSPC
    told = explained(polars)
    assert told is not None
    assert told.message == "cannot read or write: no space is left on the disk"
    assert explained(ValueError("no error of the system")) is None
    assert explained(DatachefError("a line", "with a hint (os error 28)")) is None
    assert explained(BrokenPipeError(errno.EPIPE, "nobody listens")) is None


def test_an_error_without_a_path_gets_one_and_others_keep_theirs(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, naming(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as missing, naming(tmp_path):
        (tmp_path / "gone").read_text()
    assert missing.value.filename == str(tmp_path / "gone")
    with pytest.raises(RunError, match="too many files are open"), ending_runs():
        raise OSError(errno.EMFILE, "Too many open files", "a.jsonl")
    with pytest.raises(ValueError, match="no error of the system"), ending_runs():
        raise ValueError("no error of the system")


def test_hidden_names_are_told_as_people_know_them(tmp_path: Path) -> None:
    hidden = tmp_path / f".out.{'0' * 32}.partial" / "data" / f".a.parquet.{'f' * 32}.tmp"
    told = explained(OSError(errno.ENOSPC, "", str(hidden)))
    assert told is not None
    assert told.message == f"cannot use {tmp_path}/out/data/a.parquet: no space is left on the disk"
    locked = explained(OSError(errno.EROFS, "", str(tmp_path / ".out.lock")))
    assert locked is not None
    assert locked.message == f"cannot use {tmp_path}/out: the file system is read-only"


@pytest.mark.parametrize("option", ["--output", "--cache", "--set"])
def test_a_name_that_is_not_utf8(chef: Chef, recipe: Path, option: str) -> None:
    name = os.fsdecode(b"caf\xe9")
    if option == "--set":
        folder = recipe.parent / name
        folder.mkdir()
        (folder / "rows.jsonl").write_text('{"text": "words"}\n')
        done = chef("check", str(recipe), "--set", "sources.latin.path='*/rows.jsonl'")
    else:
        done = chef("run", str(recipe), option, name)
    assert "caf\ufffd" in done.stdout + done.stderr
    assert "is not UTF-8" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if option == "--set" else 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [("ledger.json", "[1]"), ("ledger.json", "{}"), ("manifest.json", "[]"), ("ledger.json", "")],
)
def test_a_report_of_what_is_no_corpus(
    chef: Chef, recipe: Path, tmp_path: Path, name: str, content: str
) -> None:
    folder = tmp_path / "here" / "out"
    assert chef("run", recipe, "--output", folder).returncode == 0
    assert "rows" in chef("report", folder).stdout
    (folder / name).write_text(content)
    assert "out holds no ledger: " in told(chef("report", folder), 1)
