"""The rows that a classifier takes for examples of the task stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import polars as pl
import pytest
from decisions import decision_on

from datachef.core import Context, Examples
from datachef.operators.selection.task_ranking import TaskRanking

Kept = Callable[..., pl.DataFrame]


@pytest.mark.parametrize("regularization", [0.0001, 0.001, 0.01])
def test_word_problems_stay_for_a_task_of_word_problems(
    pool: pl.DataFrame, word_problems: Examples, kept: Kept, regularization: float
) -> None:
    operator = TaskRanking(target=word_problems, share=1.0, rows=400, regularization=regularization)
    sources = Counter(kept(operator, pool)["source"])
    assert sources.total() == 400
    assert sources["gsm8k_alpaca_format"] >= 390  # of 400 among 1,200


def test_scores_are_probabilities_and_silent_rows_come_last(
    pool: pl.DataFrame, word_problems: Examples, kept: Kept
) -> None:
    silent = pl.DataFrame({"id": ["x", "y"], "source": "none", "text": ["", None]})
    batch = pl.concat([silent, pool.gather_every(4)], how="vertical_relaxed")
    operator = TaskRanking(target=word_problems, share=1.0, keep_scores=True)
    scored = kept(operator, batch)
    assert scored["id"].to_list() == batch["id"].to_list()
    by_source = dict(scored.group_by("source").agg(pl.col("task_ranking").mean()).iter_rows())
    assert by_source["none"] == 0
    assert 0 < by_source["alpaca_5000"] < by_source["gsm8k_alpaca_format"] < 1


def test_the_seed_draws_what_is_learned_from_and_batches_do_not_matter(
    pool: pl.DataFrame, word_problems: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.operators.selection.task_ranking._ROWS", 200)
    operator = TaskRanking(target=word_problems)
    some = pool.gather_every(3)
    whole = operator.summarize(some)
    parts = pl.concat([operator.summarize(some[i : i + 70]) for i in range(0, some.height, 70)])
    assert parts.equals(whole)
    first = decision_on(operator, whole)
    assert decision_on(operator, parts).equals(first)
    assert not decision_on(operator, whole, Context(1)).equals(first)
