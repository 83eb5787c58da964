"""The rows that resemble the task's examples stay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from decisions import decision_on

from datachef.core import DatachefError, Examples
from datachef.operators.selection.task_similarity import TaskSimilarity

Kept = Callable[..., pl.DataFrame]


@pytest.mark.parametrize(("to", "least"), [("nearest", 0.85), ("mean", 0.95)])
def test_word_problems_stay_for_a_task_of_word_problems(
    pool: pl.DataFrame, word_problems: Examples, kept: Kept, to: str, least: float
) -> None:
    parameters = {"target": word_problems, "share": 1.0, "rows": 400, "to": to}
    operator = TaskSimilarity.model_validate({"op": "task_similarity", **parameters})
    sources = Counter(kept(operator, pool)["source"])
    assert sources.total() == 400
    assert sources["gsm8k_alpaca_format"] >= least * 400  # a third of the pool


def examples(folder: Path, *texts: str) -> Examples:
    lines = (json.dumps({"prompt": text}) + "\n" for text in texts)
    (folder / "examples.jsonl").write_text("".join(lines))
    return Examples(path=str(folder / "examples.jsonl"))


def rows(*texts: str | None) -> pl.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    return pl.DataFrame({"id": ids, "source": "s", "text": texts})


def test_the_score_is_a_cosine_and_can_be_kept(tmp_path: Path, kept: Kept) -> None:
    target = examples(tmp_path, "rivers run to the sea", "股票市场今日收盘上涨")
    batch = rows("Rivers run to the SEA!", "", "unlike anything", "今日股票市场上涨", None)
    operator = TaskSimilarity(target=target, share=1.0, keep_scores=True)
    assert operator.writes() == {"task_similarity"}
    scores = dict(kept(operator, batch).select("id", "task_similarity").iter_rows())
    assert scores["0"] == pytest.approx(1.0, abs=1e-4)
    assert scores["1"] == scores["4"] == 0
    assert abs(scores["2"]) < 0.05
    assert 0.4 < scores["3"] < 0.9


def test_a_dropped_row_says_its_score(tmp_path: Path) -> None:
    operator = TaskSimilarity(target=examples(tmp_path, "one two"), share=0.5)
    batch = rows("one two", "one three")
    made = operator.apply(batch, decision_on(operator, operator.summarize(batch)))
    assert made.rows["id"].to_list() == ["0"]
    assert made.dropped is not None
    assert made.dropped["reason"].to_list() == ["not_in_top"]
    assert made.dropped["detail"][0].startswith("score 0.")


def test_examples_that_say_nothing_are_told(tmp_path: Path) -> None:
    operator = TaskSimilarity(target=examples(tmp_path, "", " "))
    with pytest.raises(DatachefError, match="holds no words"):
        decision_on(operator, operator.summarize(rows("a")))


def test_embeddings_find_other_words_for_the_same(minilm: Path, tmp_path: Path, kept: Kept) -> None:
    batch = rows(
        "Shares rose sharply at the close of trading.",
        "The cat was sitting on the mat.",
        "She sold some of her apples; how much does she have left?",
    )
    target = examples(tmp_path, "Tom had 7 pears and ate two. What number of pears remains?")
    operator = TaskSimilarity(target=target, share=1.0, rows=1, by="embeddings")
    assert operator.assets() == ("minilm",)
    assert kept(operator, batch)["id"].to_list() == ["2"]
    assert not TaskSimilarity(target=target).assets()
