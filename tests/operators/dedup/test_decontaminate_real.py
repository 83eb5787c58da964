"""Planted test items are found among real rows, and rows that are on topic but clean stay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import BenchmarkFile
from datachef.operators.dedup.decontaminate import Decontaminate

PLANTED = [
    "aqua", "arc_challenge", "commonsenseqa", "fpb", "gsm8k", "humaneval", "leetcode",
    "logical_deduction", "mbpp", "svamp",
]  # fmt: skip
# Sources of the same kind as the benchmark, without its items (or with the few that are noted).
CLEAN = [
    ("gsm8k", "gsm8k_train"),
    ("svamp", "mawps"),
    ("svamp", "gsm8k_train"),
    ("aqua", "aqua_cot"),
    ("humaneval", "codealpaca_2k"),
    ("humaneval", "thealgorithms_py"),
    ("leetcode", "leetcode_train"),
    ("arc_challenge", "arc_challenge_train"),
    ("arc_challenge", "arc_easy_train"),
    ("commonsenseqa", "csqa_train"),
    ("fpb", "fpb_train"),
    ("mbpp", "codealpaca_new"),
    ("cola", "blimp_train"),
]


@pytest.fixture(scope="module")
def entries(shared_data: Path) -> dict[str, dict[str, Any]]:
    tasks = json.loads((shared_data / "tasks.json").read_text())
    return {entry["name"]: entry for task in tasks for entry in task["pool"]}


def found(folder: Path, benchmark: str, entry: dict[str, Any]) -> dict[str, bool]:
    """Whether each row of a source, by its id, is taken for a test item."""
    [path] = (folder / "bench").glob(f"{benchmark}.test.jsonl*")
    operator = Decontaminate(benchmark=BenchmarkFile(path=str(path)))
    rows = pl.read_ndjson(folder / entry["file"], infer_schema_length=None).to_dicts()
    texts = pl.DataFrame({"text": [text_of(row, entry) for row in rows]})
    [(name, signal)] = operator.signals().items()
    assert callable(signal)
    rejected = texts.select(signal(texts).alias(name)).select(operator.rules()["contaminated"])
    return dict(zip([row["id"] for row in rows], rejected.to_series(), strict=True))


def text_of(row: dict[str, Any], entry: dict[str, Any]) -> str:
    if "context" in row and "options" in row:
        parts = [row["context"], row["question"], *row["options"], row["answer"]]
    else:
        parts = [filled(entry[part], row) for part in ("prompt", "response", "text") if entry[part]]
    return "\n\n".join(parts)


def filled(spec: str, row: dict[str, Any]) -> str:
    template = spec if "{" in spec else "{" + spec + "}"
    return re.sub(r"{(\w+)}", lambda slot: str(row.get(slot[1]) or ""), template)


@pytest.mark.parametrize("benchmark", PLANTED)
def test_planted_items_are_found(
    shared_data: Path, entries: dict[str, dict[str, Any]], benchmark: str
) -> None:
    key = shared_data / "keys" / f"contam_{benchmark}.key.jsonl"
    planted = [json.loads(line)["id"] for line in key.read_text().splitlines()]
    rejected = found(shared_data, benchmark, entries[f"contam_{benchmark}"])
    assert [row for row in planted if not rejected[row]] == []


@pytest.mark.parametrize(("benchmark", "source"), CLEAN)
def test_clean_rows_stay(
    shared_data: Path, entries: dict[str, dict[str, Any]], benchmark: str, source: str
) -> None:
    rejected = found(shared_data, benchmark, entries[source])
    assert sum(rejected.values()) <= 0.01 * len(rejected)
