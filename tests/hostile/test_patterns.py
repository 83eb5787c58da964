"""Patterns and names of files that are made to be compared without end."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from datachef.core import SourceError
from datachef.core.files.finding import find


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Twelve folders within each other, each with a file."""
    folder = tmp_path
    for _ in range(12):
        folder = folder / "d"
        folder.mkdir()
        (folder / "a.jsonl").write_text("{}\n")
    return tmp_path


@pytest.mark.parametrize(
    "pattern", ["**/" * 1_000 + "*.jsonl", "**/*/" * 12 + "*.jsonl", "**/d/" * 6 + "**"]
)
def test_folders_at_any_depth_are_walked_once(deep: Path, pattern: str) -> None:
    found = [file.path for file in find([f"{deep}/{pattern}"])]
    assert len(found) == len(set(found)) == {"**/*/": 1, "**/d/": 7}.get(pattern[:5], 12)


@pytest.mark.parametrize("pattern", ["{a,b}" * 30, "{a,b}" * 9 + "*a" * 1_800])
def test_choices_without_end_are_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(SourceError) as caught:
        find([f"{tmp_path}/{pattern}"])
    assert caught.value.code == "bad_pattern"


def test_many_choices_are_none_too_many(tmp_path: Path) -> None:
    (tmp_path / "n0399.jsonl").write_text("{}\n")
    choices = ",".join(f"n{number:04}" for number in range(600))
    assert len(find([f"{tmp_path}/{{{choices}}}.jsonl"])) == 1


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "**/" * 40 + "b", "**/a/" * 15 + "b"])
def test_names_in_an_archive_are_compared_in_little_time(tmp_path: Path, pattern: str) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("a" * 200, "a/" * 200 + "c"):
            archive.writestr(name, "{}\n")
    with pytest.raises(SourceError, match="no file matches"):
        find([f"zip://{pattern}::{tmp_path / 'z.zip'}"])


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("x/train-*-of-*.jsonl", ["x/train-0-of-2.jsonl"]),
        ("/x/t*-*-*-*", ["x/train-0-of-2.jsonl"]),
        ("**/t*n-*-of-*", ["train-0-of-2.jsonl", "x/train-0-of-2.jsonl", "x/y/train-1-of-2.jsonl"]),
        ("**/x/**/y/*", ["x/y/train-1-of-2.jsonl"]),
        ("x/**/**/t*n-*", ["x/train-0-of-2.jsonl", "x/y/train-1-of-2.jsonl"]),
    ],
)
def test_several_stars_match_what_they_say(
    tmp_path: Path, pattern: str, matched: list[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for folder, number in (("", 0), ("x/", 0), ("x/y/", 1)):
            archive.writestr(f"{folder}train-{number}-of-2.jsonl", "{}\n")
        archive.writestr("x/test-0.jsonl", "{}\n")
    found = find([f"zip://{pattern}::{tmp_path / 'z.zip'}"])
    assert [file.path.partition("::")[0] for file in found] == [f"zip://{name}" for name in matched]
