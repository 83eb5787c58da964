"""`check` looks at the first bytes of every file, not only of those that it samples."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard

from datachef.core import Host, Problem, check_recipe

ROWS = b"".join(json.dumps({"text": f"row {n}"}).encode() + b"\n" for n in range(500))
MANY = 12


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(only={"sources", "engines"})


@pytest.fixture
def check(tmp_path: Path, host: Host) -> Callable[..., list[Problem]]:
    """The problems of a recipe over all files of a suffix."""

    def problems(suffix: str, allowed: int = 0) -> list[Problem]:
        source = {"path": f"part-*{suffix}", "max_failed_files": allowed}
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps({"name": "a", "sources": {"s": source}}))
        return list(check_recipe(recipe, host).problems)

    return problems


def write(folder: Path, suffix: str) -> Path:
    """Many good files; the one that a test may spoil is neither the first nor the last."""
    for number in range(MANY):
        file = folder / f"part-{number:02}{suffix}"
        if suffix.endswith(".gz"):
            file.write_bytes(gzip.compress(ROWS))
        elif suffix.endswith(".zst"):
            file.write_bytes(zstandard.compress(ROWS))
        else:
            pl.DataFrame({"text": ["a", "b"]}).write_parquet(file)
    return folder / f"part-07{suffix}"


# Of files that are not packed: by suffix and what they hold, what is said of them.
NOT_TEXT = {
    (".jsonl", b"\x1f\x8b\x08\x00"): "it is gzip data, which its name does not say",
    (".csv", b"PK\x03\x04 and more"): "it is zip data, which its name does not say",
    (".txt", b"%PDF-1.7\n%\xe2\xe3"): "it is PDF data, which its name does not say",
    (".json", b"\n <!DOCTYPE html>\n<html>"): "it is HTML data, which its name does not say",
    (".jsonl", b"\xef\xbb\xbf<HTML lang=en>"): "it is HTML data, which its name does not say",
    (".md", b"version https://git-lfs.github.com/spec/v1\noid"): "git lfs pull",
}


@pytest.mark.parametrize(("suffix", "raw"), NOT_TEXT)
def test_a_file_that_is_not_packed_and_holds_no_text_is_found(
    check: Callable[..., list[Problem]], tmp_path: Path, suffix: str, raw: bytes
) -> None:
    good = b"[" + b",".join(ROWS.splitlines()) + b"]" if suffix == ".json" else ROWS
    for number in range(MANY):
        (tmp_path / f"part-{number:02}{suffix}").write_bytes(good)
    assert not [p for p in check(suffix) if p.code == "broken_file"]
    (tmp_path / f"part-07{suffix}").write_bytes(raw)
    (found,) = [problem for problem in check(suffix) if problem.code == "broken_file"]
    assert f"part-07{suffix}: " in found.message
    assert NOT_TEXT[suffix, raw] in found.message


@pytest.mark.parametrize("suffix", [".txt", ".md"])
def test_pages_are_text_where_any_text_is_asked_for(
    check: Callable[..., list[Problem]], tmp_path: Path, suffix: str
) -> None:
    (tmp_path / f"part-0{suffix}").write_bytes(b"<!DOCTYPE html>\n<title>A page</title>")
    assert check(suffix) == []


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".csv.gz", ".txt.zst", ".parquet"])
@pytest.mark.parametrize("spoiled", ["plain", "html", "other", "cut off", "one byte"])
def test_a_file_that_is_not_what_its_name_says_is_found(
    check: Callable[..., list[Problem]], tmp_path: Path, suffix: str, spoiled: str
) -> None:
    file = write(tmp_path, suffix)
    assert not [p for p in check(suffix) if p.code == "broken_file"]
    raw = file.read_bytes()
    file.write_bytes(
        {
            "plain": ROWS,
            "html": b"<!DOCTYPE html>\n<title>Not found</title>",
            "other": b"PK\x03\x04" + raw,
            "cut off": raw[:1] if suffix != ".parquet" else raw[:-20],
            "one byte": b"\x00" + raw[1:],
        }[spoiled]
    )
    if (suffix, spoiled) == (".parquet", "one byte"):
        pytest.skip("the first byte of a Parquet file says nothing of its content")
    if (suffix, spoiled) == (".parquet", "other"):
        pytest.skip("the rows of a Parquet file are found from its end")
    found = [problem for problem in check(suffix) if problem.code == "broken_file"]
    assert len(found) == 1
    assert "part-07" in found[0].message
    assert not [p for p in check(suffix, allowed=1) if p.code == "broken_file"]
