from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import ChangedInputError, Host, RecipeError, RunError, path_identity, run_recipe
from datachef.plugins.sources.hub import HubSource

pytest.importorskip("datasets")

MakeCorpus = Callable[..., Any]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of three Parquet files, as one lies in a folder."""
    folder = tmp_path / "org" / "chats"
    folder.mkdir(parents=True)
    for part in range(3):
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"question {part}.{n}"},
                    {"role": "assistant", "content": "answer " * (n + 1)},
                ],
                "meta": {"n": n, "tags": ["a"]},
            }
            for n in range(10)
        ]
        pl.DataFrame(rows).write_parquet(folder / f"train-{part:05d}-of-00003.parquet")
    pl.DataFrame({"text": ["held out"]}).write_parquet(folder / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - {split: train, path: train-*}\n"
        "- config_name: other\n  data_files:\n  - {split: test, path: test-*}\n---\n"
    )
    return folder


def test_a_folder_is_streamed_in_shards(make_corpus: MakeCorpus, dataset: Path) -> None:
    result = make_corpus({"s": {"hf": "org/chats"}}, output={"columns": ["meta"]})
    assert [turns[0]["content"] for turns in result.rows["messages"]] == [
        f"question {part}.{n}" for part in range(3) for n in range(10)
    ]
    assert json.loads(result.rows["meta"][1]) == {"n": 1, "tags": ["a"]}
    assert result.rows["id"].n_unique() == 30
    partitions = result.manifest["inputs"]["s"]["partitions"]
    assert [partition["name"] for partition in partitions] == [
        "chats/train-0",
        "chats/train-1",
        "chats/train-2",
    ]
    assert len({partition["identity"] for partition in partitions}) == 3


def test_split_and_configuration(make_corpus: MakeCorpus, dataset: Path) -> None:
    result = make_corpus({"s": {"hf": "org/chats", "config": "other", "split": "test"}})
    assert result.rows["text"].to_list() == ["held out"]


def test_a_changed_file_has_another_identity(dataset: Path) -> None:
    before = {partition.identity for partition in HubSource(hf=str(dataset)).partitions()}
    file = dataset / "train-00000-of-00003.parquet"
    pl.read_parquet(file).head(3).write_parquet(file)
    assert not before & {
        partition.identity for partition in HubSource(hf=str(dataset)).partitions()
    }


def test_a_folder_is_looked_through_once_for_all_of_its_partitions(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = HubSource(hf=str(dataset))
    partitions = source.partitions()
    looked: list[str] = []

    def looking(path: str, **options: Any) -> list[list[str]]:
        looked.append(path)
        return path_identity(path, **options)

    monkeypatch.setattr("datachef.plugins.sources.hub.path_identity", looking)
    source.verify_all(partitions)
    assert looked == [str(dataset)]
    (dataset / "new.txt").write_text("new")
    with pytest.raises(ChangedInputError):
        source.verify_all(partitions)


def test_a_cache_within_the_folder_is_no_part_of_the_dataset(dataset: Path) -> None:
    recipe = dataset / "recipe.yaml"
    recipe.write_text(json.dumps({"name": "n", "sources": {"s": {"hf": "."}}}))
    output = dataset.parent / "corpus"
    for cached in (False, True):
        (dataset / ".git").mkdir(exist_ok=True)
        (dataset / ".git" / "index").write_text(str(cached))
        report = run_recipe(
            recipe, output, host=Host(), engine="inline", cache=dataset / ".datachef"
        )
        assert report.rows == 30
        assert (report.partitions_cached == report.partitions) is cached


def test_rows_know_their_size_however_nested(dataset: Path) -> None:
    source = HubSource(hf=str(dataset))
    sizes = [raw.size for raw in source.read(source.partitions()[0])]
    assert sizes[9] - sizes[1] == 8 * len("answer ")


@pytest.mark.parametrize(
    "wrong", [{"hf": "org/chats", "split": "dev"}, {"hf": "org/chats", "config": "none"}]
)
def test_what_is_not_there_is_a_problem_of_the_recipe(
    make_corpus: MakeCorpus, dataset: Path, wrong: dict[str, str]
) -> None:
    with pytest.raises(RecipeError, match="unreadable_dataset"):
        make_corpus({"s": wrong})


def test_in_a_worker_process(make_corpus: MakeCorpus, dataset: Path) -> None:
    assert make_corpus({"s": {"hf": "org/chats"}}, engine="local").rows.height == 30


def test_a_file_that_breaks_off_fails_the_run_unless_that_is_allowed(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    folder = tmp_path / "org" / "texts"
    folder.mkdir(parents=True)
    lines = [json.dumps({"text": f"{n} {os.urandom(20).hex()}"}) + "\n" for n in range(4_000)]
    whole = gzip.compress("".join(lines).encode())
    (folder / "train-0.jsonl.gz").write_bytes(gzip.compress(b'{"text": "whole"}\n' * 30))
    (folder / "train-1.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"texts/train-1: EOFError: .* [\d,]+ rows\)"):
        make_corpus({"s": {"hf": "org/texts"}})
    result = make_corpus({"s": {"hf": "org/texts", "max_failed_files": 1}})
    entry = result.report.ledger["sources.s"]
    assert list(entry.broken) == ["texts/train-1"]
    read = entry.broken["texts/train-1"].rows_read
    assert result.rows.height == entry.rows_in == 30 + read
    assert result.rows["text"].to_list()[30:] == [json.loads(line)["text"] for line in lines[:read]]
