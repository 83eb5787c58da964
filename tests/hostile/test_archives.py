"""Archives that unpack without end, are damaged, or are none."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest

from datachef.core import SourceError
from datachef.core.files import storage as archives
from datachef.plugins.sources.files import FileSource

random.seed(7)
ROWS = [{"text": str(random.random())} for _ in range(5_000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
KINDS = {"a.zip": "", "a.tar": "w", "a.tar.gz": "w:gz", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz"}


def packed(file: Path, content: bytes) -> str:
    """The URL of a file in an archive of it."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("in.jsonl", content)
        return f"zip://in.jsonl::{file}"
    with tarfile.open(file, KINDS[file.name]) as tar:  # type: ignore[call-overload]
        member = tarfile.TarInfo("in.jsonl")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return f"tar://in.jsonl::{file}"


def read(url: str) -> list[object]:
    source = FileSource(path=url)
    return [row.data for partition in source.partitions() for row in source.read(partition)]


@pytest.mark.parametrize("name", KINDS)
def test_archives_are_read_whole(tmp_path: Path, name: str) -> None:
    assert read(packed(tmp_path / name, LINES)) == ROWS


def test_an_archive_in_a_store_whose_files_tell_no_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path / "a.tar.gz", LINES)
    store = fsspec.filesystem("memory")
    store.pipe("/box/a.tar.gz", (tmp_path / "a.tar.gz").read_bytes())
    monkeypatch.setattr(store, "open", lambda path, mode: io.BytesIO(store.cat(path)))
    monkeypatch.setattr(archives, "MOST_UNPACKED", 0)  # so that the size counts
    assert read("tar://in.jsonl::memory://box/a.tar.gz") == ROWS


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"a.tar"}))
def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = packed(tmp_path / name, LINES + b" " * 4 * 2**20)
    monkeypatch.setattr(archives, "MOST_UNPACKED", 2**20)
    monkeypatch.setattr(archives, "MOST_EXPANSION", 2)
    with pytest.raises(SourceError, match="unpack to") as caught:
        FileSource(path=url).partitions()
    assert (caught.value.code, "unpack it" in caught.value.hint) == ("broken_file", True)


def test_a_tar_that_promises_what_it_does_not_hold_is_refused_at_once(tmp_path: Path) -> None:
    member = tarfile.TarInfo("in.jsonl")
    member.size = 2**36
    (tmp_path / "a.tar").write_bytes(member.tobuf())
    with pytest.raises(SourceError, match="unpack to") as caught:
        FileSource(path=f"tar://in.jsonl::{tmp_path / 'a.tar'}").partitions()
    assert caught.value.code == "broken_file"


@pytest.mark.parametrize("damage", ["cut", "flipped", "another"])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_what_is_damaged_gives_no_rows_as_if_it_were_whole(
    tmp_path: Path, name: str, damage: str
) -> None:
    url = packed(tmp_path / name, LINES)
    content = bytearray((tmp_path / name).read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
    else:
        content = bytearray(b"hello")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read(url)
    assert caught.value.code == "broken_file"


def test_a_file_that_is_encrypted_is_told(tmp_path: Path) -> None:
    url = packed(tmp_path / "a.zip", LINES)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SourceError, match="is encrypted") as caught:
        read(url)
    assert caught.value.code == "broken_file"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system lists no descriptors")
def test_what_fails_leaves_no_descriptor_open(tmp_path: Path) -> None:
    packed(tmp_path / "a.zip", LINES)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        with pytest.raises(SourceError):
            FileSource(path=f"tar://in.jsonl::{tmp_path / 'a.zip'}").partitions()
    assert len(os.listdir("/proc/self/fd")) < before + 20  # noqa: PTH208


@pytest.mark.parametrize("beginning", [0, 100])
@pytest.mark.parametrize("name", ["a.tar.bz2", "a.tar.gz", "a.tar.xz"])
def test_a_damaged_archive_is_called_so_with_its_name(
    tmp_path: Path, name: str, beginning: int
) -> None:
    url = packed(tmp_path / name, LINES)
    raw = (tmp_path / name).read_bytes()
    kept = max(beginning, 4)
    damaged = raw[:kept] + random.Random(1).randbytes(len(raw) - kept)
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(SourceError, match=name) as caught:
        read(url)
    assert caught.value.code == "broken_file"
