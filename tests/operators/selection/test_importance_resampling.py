"""DSIR draws what resembles the task's examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from decisions import decision_on

from datachef.core import CheckContext, Examples, Task
from datachef.operators.selection.importance_resampling import ImportanceResampling

Kept = Callable[..., pl.DataFrame]


def test_word_problems_are_drawn_for_a_task_of_word_problems(
    pool: pl.DataFrame, shared_data: Path, kept: Kept
) -> None:
    path = shared_data / "pool" / "gsm8k_train.jsonl.gz"
    target = Examples(path=str(path), prompt="question", answer="answer")
    operator = ImportanceResampling(target=target, share=1.0, rows=300)
    drawn = Counter(kept(operator, pool)["source"])
    assert drawn.total() == 300
    assert drawn["gsm8k_alpaca_format"] > 240  # a third of the pool


def test_the_seed_decides_and_not_the_cut_of_batches(
    pool: pl.DataFrame, word_problems: Examples, kept: Kept
) -> None:
    operator = ImportanceResampling(target=word_problems, share=0.25)
    some = pool.filter(pl.col("source") == "alpaca_5000")
    first = kept(operator, some)["id"].to_list()
    whole = decision_on(operator, operator.summarize(some))
    assert operator.apply(some, whole).rows["id"].to_list() == first
    assert kept(operator, some, seed=1)["id"].to_list() != first
    assert len(first) == 100


def test_weights_are_those_of_the_paper(tmp_path: Path) -> None:
    """The sum, over words and pairs, of the logarithm of target share over corpus share."""
    (tmp_path / "t.jsonl").write_text(json.dumps({"prompt": "a b a"}) + "\n")
    target = Examples(path=str(tmp_path / "t.jsonl"))
    operator = ImportanceResampling(target=target, buckets=65_536)
    features = operator._features(pl.Series(["a b", "c", ""]))
    counts = operator._counts(features)
    ratio = np.log(operator._target() + 1e-8) - np.log(counts / counts.sum() + 1e-8)
    # of the target: a 2, b 1, ab 1, ba 1; of the corpus: a, b, ab, c
    expected = np.log(2 / 5) + 2 * np.log(1 / 5) - 3 * np.log(1 / 4)
    weights = operator._weights(features, ratio).tolist()
    assert weights[0] == pytest.approx(expected, abs=1e-5)
    assert weights[1] == pytest.approx(np.log(1e-8) - np.log(1 / 4), abs=1e-5)
    assert weights[2] == -np.inf


def test_scripts_without_spaces_are_compared_by_character(tmp_path: Path, kept: Kept) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"prompt": "今天下雨了，我们不出去。"}) + "\n")
    operator = ImportanceResampling(
        target=Examples(path=str(tmp_path / "t.jsonl")), rows=1, share=1.0
    )
    texts = [
        "股票市场今日收盘上涨。",
        "外面下雨，我们不出去了。",
        "Shares rose a little at the close of the market, and the index with them.",
    ]
    batch = pl.DataFrame({"id": ["0", "1", "2"], "source": "s", "text": texts})
    assert kept(operator, batch)["text"].to_list() == [texts[1]]


def test_the_task_says_what_to_resemble(tmp_path: Path) -> None:
    operator = ImportanceResampling()
    ((_, message, _),) = operator.check(CheckContext(frozenset(), {}))
    assert message == "there are no examples to resemble"
    parts: dict[str, Any] = {"benchmark": {"path": "b.jsonl"}, "examples": {"path": "e.jsonl"}}
    filled = operator.for_task(Task.model_validate({"name": "t", **parts}))
    assert filled.target == Examples(path="e.jsonl")
    assert filled.files() == ("e.jsonl",)
    assert not list(filled.check(CheckContext(frozenset(), {})))
    # never the benchmark itself
    assert operator.for_task(Task.model_validate({"name": "t", "benchmark": {"path": "b"}})) == (
        operator
    )
