from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import polars as pl
import pytest
from decisions import decision_on

from datachef.core import Context, CorpusOperator, Examples

POOL = {
    "gsm8k_alpaca_format": ("instruction", "output"),
    "alpaca_5000": ("instruction", "output"),
    "ag_news": ("title", "description"),
}


@pytest.fixture(scope="session")
def pool(shared_data: Path) -> pl.DataFrame:
    """Word problems, instructions and news, 400 rows of each."""
    texts: list[tuple[str, str]] = []
    for name, fields in POOL.items():
        with gzip.open(shared_data / "pool" / f"{name}.jsonl.gz", "rt") as file:
            rows = [json.loads(line) for line in islice(file, 1_000, 1_400)]
        texts += [(name, " ".join(str(row[field]) for field in fields)) for row in rows]
    return pl.DataFrame(
        {
            "id": [f"row-{i}" for i in range(len(texts))],
            "source": [name for name, _ in texts],
            "text": [text for _, text in texts],
        }
    )


@pytest.fixture(scope="session")
def word_problems(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """300 rows of the training split of GSM8K, other problems than those of `pool`."""
    place = tmp_path_factory.mktemp("examples") / "word_problems.jsonl"
    with gzip.open(shared_data / "pool" / "gsm8k_train.jsonl.gz", "rt") as file:
        place.write_text("".join(islice(file, 300)))
    return Examples(path=str(place), prompt="question", answer="answer")


@pytest.fixture(scope="session")
def kept() -> Callable[..., pl.DataFrame]:
    """The rows that an operator keeps, with summaries of two halves of the batch."""

    def rows(operator: CorpusOperator, batch: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
        half = batch.height // 2
        parts = [operator.summarize(batch[:half]), operator.summarize(batch[half:])]
        decision = decision_on(operator, pl.concat(parts), Context(seed))
        made = operator.apply(batch, decision)
        if made.dropped is not None:
            assert set(made.dropped["reason"]) <= set(operator.reasons())
        return made.rows

    return rows
