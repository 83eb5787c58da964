"""Runs whose results lie on Google Cloud Storage, which tells versions apart by generations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from google_store import GoogleStore
from web_server import served

from datachef.core import (
    DatachefError,
    FinishedRun,
    Host,
    RecipeError,
    UnavailableError,
    run_recipe,
)
from datachef.core.files.object_folder import ChangedMeanwhileError, ObjectFolder

pytest.importorskip("obstore", reason="the extra s3 is not installed")

RECIPE = """
name: stored
sources:
  pages: {path: "gs://data/in/*.jsonl"}
steps: [{op: exact_dedup}]
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleStore]:
    with served(GoogleStore()) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        rows = "".join(json.dumps({"text": f"page {n % 90}"}) + "\n" for n in range(100))
        for part in "ab":
            running.put(f"/data/in/{part}.jsonl", {}, rows.encode())
        monkeypatch.chdir(tmp_path)
        yield running


def run(recipe: str):
    Path("recipe.yaml").write_text(recipe)
    return run_recipe(
        Path("recipe.yaml"), "gs://results/out", host=Host(), engine="inline",
        cache="gs://results/cache",
    )  # fmt: skip


def test_a_corpus_is_made_and_replaced(store: GoogleStore) -> None:
    assert run(RECIPE).rows == 90
    assert FinishedRun.open("gs://results/out").corpus.collect().height == 90
    again = run(RECIPE)
    assert again.partitions_cached == again.partitions
    assert run(RECIPE.replace("exact_dedup", "length_filter, min_chars: 7")).rows == 160
    assert FinishedRun.open("gs://results/out").corpus.collect().height == 160
    named = [name for name in store.files if name.startswith("/results/out/data/")]
    assert len(named) == 1, "the old corpus is removed"


def test_what_is_not_there_is_told_in_a_line(store: GoogleStore) -> None:
    with pytest.raises(DatachefError) as missing:
        FinishedRun.open("gs://results/nothing")
    assert missing.value.message.startswith("gs://results/nothing holds no ledger: ")
    assert "\n" not in missing.value.message
    with pytest.raises(RecipeError, match=r"no file matches 'gs://data/no/\*\.jsonl'"):
        run(RECIPE.replace("data/in", "data/no"))


def test_keys_that_are_none_are_told(store: GoogleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "{}")
    with pytest.raises(UnavailableError, match="gs://results/out: ") as told:
        FinishedRun.open("gs://results/out")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in (told.value.hint or "")
    with pytest.raises(RecipeError) as told_of_source:
        run(RECIPE)
    (problem,) = told_of_source.value.problems
    assert problem.code == "unreachable"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in problem.hint
    assert "\n" not in problem.message


def test_what_was_written_meanwhile_is_not_replaced(store: GoogleStore, tmp_path: Path) -> None:
    folder = ObjectFolder("gs://results/versions", tmp_path / "cache")
    folder.put_version(b"one", "file", None)
    _, first = folder.version("file")
    folder.put_version(b"two", "file", first)
    with pytest.raises(ChangedMeanwhileError, match="written by another run"):
        folder.put_version(b"three", "file", first)
    with pytest.raises(ChangedMeanwhileError, match="written by another run"):
        folder.put_version(b"three", "file", None)
    assert folder.content("file") == b"two"
