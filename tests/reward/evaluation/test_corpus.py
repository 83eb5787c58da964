from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from datachef.core import DatachefError
from datachef.reward.evaluation.corpus import as_rows, read_corpus, shuffled

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def corpus(folder: Path, frame: pl.DataFrame, name: str = "train-00000-of-00001.parquet") -> Path:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    file = folder / "data" / name
    if name.endswith("parquet"):
        frame.write_parquet(file)
    elif name.endswith("zst"):
        file.write_bytes(zstandard.compress(frame.write_ndjson().encode()))
    else:
        frame.write_ndjson(file)
    return folder


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "jsonl.zst"])
def test_every_format_and_all_shards_are_read(tmp_path: Path, suffix: str) -> None:
    for number, text in enumerate(["one", "two"]):
        frame = pl.DataFrame({"id": ["x"], "text": [text], "more": [3]})
        corpus(tmp_path, frame, f"train-0000{number}-of-00002.{suffix}")
    assert read_corpus(tmp_path).to_dict(as_series=False) == {"text": ["one", "two"]}


def test_files_of_another_format_are_refused(tmp_path: Path) -> None:
    corpus(tmp_path, pl.DataFrame({"text": ["one"]}), "train-00000-of-00001.csv")
    with pytest.raises(DatachefError, match=r"not trained on files that end in \.csv"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_pairs_of_texts_stay_texts(tmp_path: Path, suffix: str) -> None:
    """What is measured is what users of the corpus train."""
    frame = pl.DataFrame({"prompt": ["Hi", " "], "completion": ["Hello", "nothing asked"]})
    corpus(tmp_path, frame, f"train-00000-of-00001.{suffix}")
    assert as_rows(read_corpus(tmp_path)) == [{"prompt": "Hi", "completion": "Hello"}]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_pairs_of_turns_stay_pairs(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"prompt": [TURNS[:1], []], "completion": [TURNS[1:], TURNS[1:]]})
    corpus(tmp_path, frame, f"train-00000-of-00001.{suffix}")
    assert as_rows(read_corpus(tmp_path)) == [{"prompt": TURNS[:1], "completion": TURNS[1:]}]


@pytest.mark.parametrize("format", ["parquet", "jsonl", "jsonl.zst"])
@pytest.mark.parametrize("schema", ["messages", "prompt_completion"])
def test_what_a_run_wrote_comes_back(
    make_corpus: Callable[..., Any], tmp_path: Path, format: str, schema: str
) -> None:
    called = {"type": "function", "function": {"name": "f", "arguments": {"a": None, "b": [1]}}}
    turns = [
        TURNS[0] | {"weight": 0},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "content": "", "name": "f"},
        TURNS[1] | {"reasoning_content": "well"},
    ]
    rows = [{"messages": turns, "tools": [{"type": "function"}]}, {"messages": TURNS}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = make_corpus("a.jsonl", output={"format": format, "schema": schema}).report
    read = as_rows(read_corpus(report.folder))
    assert [row["tools"] for row in read] == [[{"type": "function"}], None]
    if schema == "messages":
        assert [row["messages"] for row in read] == [turns, TURNS]
    else:
        pairs = [(row["prompt"], row["completion"]) for row in read]
        assert pairs == [(turns[:-1], turns[-1:]), (TURNS[:1], TURNS[1:])]


def test_rows_without_something_to_learn_are_left_out(tmp_path: Path) -> None:
    holes = [
        None,
        [],
        TURNS[:1],
        [TURNS[0], {"role": "assistant", "content": " \n"}],
        [TURNS[0], {"role": "assistant", "content": None}],
        [{"role": None, "content": "?"}, TURNS[1]],
    ]
    rows = [{"messages": turns} for turns in [*holes, TURNS]]
    found = read_corpus(corpus(tmp_path, pl.DataFrame(rows)))
    assert as_rows(found) == [{"messages": TURNS}]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "jsonl.zst"])
def test_a_corpus_without_rows_is_explained(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame(schema={"text": pl.String})
    corpus(tmp_path, frame, f"train-00000-of-00001.{suffix}")
    with pytest.raises(DatachefError, match=r"no row to learn from \(0 rows\)"):
        read_corpus(tmp_path)


def test_a_folder_that_is_no_corpus_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatachefError, match="holds no corpus"):
        read_corpus(tmp_path)
    with pytest.raises(DatachefError, match="neither messages"):
        read_corpus(corpus(tmp_path, pl.DataFrame({"prompt": ["alone"]})))
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"torn")
    with pytest.raises(DatachefError, match="cannot read the corpus"):
        read_corpus(tmp_path)


def test_the_order_follows_the_seed_and_loses_nothing() -> None:
    rows = pl.DataFrame({"text": [str(number) for number in range(1_300)]})
    orders = [[r["text"] for block in shuffled(rows, seed) for r in block] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == sorted(rows["text"])
    assert orders[0] != rows["text"].to_list()
