"""Benchmarks are read like sources, but whole or not at all, and looked at before a run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from datachef.core import BenchmarkFile, DatachefError, Host, check_recipe, document, read_benchmark
from datachef.core.contracts.task import Examples

ITEMS = [{"prompt": "1 + 1, \u2028é", "answer": "2"}, {"prompt": "a\nb", "answer": '"c"'}]
PAIRS = [(item["prompt"], item["answer"]) for item in ITEMS]
LINES = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ITEMS).encode()
ARRAY = json.dumps(ITEMS, ensure_ascii=False, indent=2)
TABLE = 'prompt,answer\n"1 + 1, \u2028é",2\n"a\nb","""c"""\n'

FORMS: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "lines": ("b.jsonl", LINES, {}),
    "lines with a mark": ("b.jsonl", b"\xef\xbb\xbf" + LINES, {}),
    "members": ("b.jsonl.gz", gzip.compress(LINES[:9]) + gzip.compress(LINES[9:]), {}),
    "zst": ("b.jsonl.zst", zstandard.ZstdCompressor().compress(LINES), {}),
    "an array": ("b.json", ARRAY.encode(), {}),
    "an array, packed": ("b.json.gz", gzip.compress(ARRAY.encode()), {}),
    "UTF-16": ("b.json", ARRAY.encode("utf-16"), {}),
    "a table": ("b.csv", TABLE.encode(), {}),
    "a table in another encoding": (
        "b.csv", TABLE.encode("utf-16-le"), {"encoding": "utf-16-le"}
    ),
    "tabs": (
        "b.tsv", TABLE.replace(",2", "\t2").replace('","', '"\t"').replace("t,a", "t\ta").encode(),
        {"csv": {"quoting": "minimal"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "options"), FORMS.values(), ids=FORMS)
def test_every_form_has_the_same_items(
    tmp_path: Path, name: str, raw: bytes, options: dict[str, Any]
) -> None:
    (tmp_path / name).write_bytes(raw)
    benchmark = BenchmarkFile(path=str(tmp_path / name), **options)
    assert [(item.prompt, item.answer) for item in read_benchmark(benchmark)] == PAIRS
    examples = Examples(path=str(tmp_path / name), **options)
    assert len(read_benchmark(examples)) == 2


def test_parquet(tmp_path: Path) -> None:
    pl.DataFrame(ITEMS).write_parquet(tmp_path / "b.parquet")
    items = read_benchmark(BenchmarkFile(path=str(tmp_path / "b.parquet")))
    assert [(item.prompt, item.answer) for item in items] == PAIRS


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "cut off": ("b.jsonl.gz", gzip.compress(LINES)[:-9], "cannot read the benchmark"),
    "an array without its end": ("b.json", ARRAY[:-3].encode(), "cannot read the benchmark"),
    "a broken line": ("b.jsonl", LINES + b'{"prompt": ', "b.jsonl line 3"),
    "an array named as lines": ("b.jsonl", json.dumps(ITEMS).encode(), "file named .json"),
    "a quote that is never closed": ("b.csv", TABLE.encode() + b'"x,1\n', "line 5: the quote"),
    "bytes of another encoding": ("b.csv", b"prompt,answer\n\xe9,1\n", "line 2"),
    "no format": ("b.docx", b"x", "docx"),
}


@pytest.mark.parametrize(("name", "raw", "said"), BROKEN.values(), ids=BROKEN)
def test_one_that_cannot_be_read_whole_is_not_read(
    tmp_path: Path, name: str, raw: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DatachefError, match=said):
        read_benchmark(BenchmarkFile(path=str(tmp_path / name)))


@pytest.mark.parametrize(
    ("benchmark", "said"),
    [
        ({"path": "b.jsonl", "prompt": "promt"}, "has no field 'promt', which `prompt` names"),
        ({"path": "b.jsonl", "prompt": "{prompt} {more}"}, "which `prompt` names"),
        ({"path": "b.jsonl", "answer": "anwser"}, "has no field 'anwser', which `answer` names"),
        ({"path": "b.jsonl", "choices": "options"}, "which `choices` names"),
        ({"path": "b.jsonl", "reference": "solution"}, "which `reference` names"),
        ({"path": "array.jsonl"}, "file named .json"),
        ({"path": "empty.jsonl"}, "holds no items"),
        ({"path": "cut.jsonl.gz"}, "cannot read the benchmark"),
    ],
)
@pytest.mark.parametrize("part", ["benchmark", "examples"])
def test_check_finds_what_is_wrong_with_it(
    tmp_path: Path, benchmark: dict[str, Any], said: str, part: str
) -> None:
    if part == "examples" and {"choices", "reference"} & set(benchmark):
        pytest.skip("examples have no such field")
    (tmp_path / "b.jsonl").write_bytes(LINES)
    (tmp_path / "array.jsonl").write_text(json.dumps(ITEMS))
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(LINES)[:-9])
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "words"}))
    task = {"name": "t", "benchmark": {"path": "b.jsonl"}, part: benchmark}
    (tmp_path / "task.yaml").write_text(document.dump(task))
    recipe = {"name": "r", "task": "task.yaml", "sources": {"s": {"path": "a.jsonl"}}}
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    problems = check_recipe(tmp_path / "recipe.yaml", Host()).problems
    found = [problem for problem in problems if problem.code == "bad_benchmark"]
    assert len(found) == 1
    assert said in found[0].message
    if "promt" in said or "anwser" in said:
        assert "did you mean" in found[0].hint


def test_a_benchmark_that_is_right_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(ARRAY)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "words"}))
    (tmp_path / "task.yaml").write_text("name: t\nbenchmark: {path: b.json, answer: answer}\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: r\ntask: task.yaml\nsources:\n  s: {path: a.jsonl}\n"
    )
    assert not check_recipe(tmp_path / "recipe.yaml", Host()).problems
