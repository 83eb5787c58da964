"""What a source holds is told from its first rows, near enough to warn of a shortage."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import polars as pl
import pytest

from datachef.core.language_models.tokens import TokenCounter
from datachef.core.rows.inspection import SourceInfo, estimated_size, inspect_source
from datachef.plugins.sources.files import FileSource

ROWS = 3000


@pytest.fixture
def texts() -> list[str]:
    chance = random.Random(5)
    words = ["salt", "pepper", "flour", "sugar", "butter", "eggs", "milk"]
    return [" ".join(chance.choices(words, k=chance.randrange(5, 80))) for _ in range(ROWS)]


def found(path: Path, take: int | None = None) -> SourceInfo:
    return inspect_source(FileSource(path=str(path), take=take))


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "parquet", "csv"])
def test_rows_and_tokens_of_a_file(
    tmp_path: Path, texts: list[str], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 40_000)
    path = tmp_path / f"a.{form}"
    table = pl.DataFrame({"text": texts})
    if form == "parquet":
        table.write_parquet(path)
    elif form == "csv":
        table.write_csv(path)
    else:
        raw = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
        path.write_bytes(gzip.compress(raw) if form.endswith("gz") else raw)
    size = estimated_size(found(path), TokenCounter())
    assert size is not None
    slack = 0.25 if form == "jsonl.gz" else 0.1
    assert size.rows == pytest.approx(ROWS, rel=slack)
    assert size.tokens == pytest.approx(int(TokenCounter().count(table["text"]).sum()), rel=slack)


def test_a_small_file_is_counted(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": text}) for text in texts[:90]] + ["{broken", ""]
    path.write_text("\n".join(lines))
    size = estimated_size(found(path), TokenCounter())
    assert size is not None
    assert (size.rows, size.tokens) == (90, TokenCounter().count(pl.Series(texts[:90])).sum())


def test_no_more_than_is_taken(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts[:90]))
    all_rows, some = (estimated_size(found(path, take), TokenCounter()) for take in (None, 30))
    assert all_rows is not None and some is not None
    assert some.rows == 30
    assert some.tokens == pytest.approx(all_rows.tokens / 3)
