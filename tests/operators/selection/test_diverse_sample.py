"""Rows that cover the corpus stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from decisions import decision_on
from hypothesis import given, strategies as st

from datachef.operators.selection.diverse_sample import (
    DiverseSample,
    _facility_location,
    _k_center,
)

Kept = Callable[..., pl.DataFrame]
METHODS = ["k_center", "facility_location"]


def sample(**parameters: Any) -> DiverseSample:
    return DiverseSample.model_validate({"op": "diverse_sample", **parameters})


def rows(*texts: str | None) -> pl.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    return pl.DataFrame({"id": ids, "source": "s", "text": texts}, schema_overrides={"text": str})


@pytest.fixture(scope="module")
def symbolic(shared_data: Path) -> pl.DataFrame:
    """50 problems, each with 50 sets of other names and numbers."""
    read = pl.read_ndjson(shared_data / "pool" / "gsm_symbolic_p2.jsonl.gz")
    return read.select(
        pl.col("id").cast(pl.String),
        pl.lit("s").alias("source"),
        pl.col("question").alias("text"),
        pl.col("original_id").cast(pl.String).alias("template"),
    )


@pytest.mark.parametrize(("method", "least"), [("k_center", 47), ("facility_location", 49)])
@pytest.mark.parametrize("compared_rows", [500, 2_500])
def test_fifty_rows_show_all_fifty_problems(
    symbolic: pl.DataFrame, kept: Kept, method: str, least: int, compared_rows: int
) -> None:
    assert symbolic["template"].n_unique() == 50
    operator = sample(method=method, rows=50, compared_rows=compared_rows)
    taken = kept(operator, symbolic)
    assert taken.height == 50
    assert taken["template"].n_unique() >= least  # drawn at random: about 32


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_data_and_batches_do_not_matter(
    symbolic: pl.DataFrame, kept: Kept, method: str
) -> None:
    some = symbolic.gather_every(5)
    operator = sample(method=method, share=0.25, compared_rows=200)
    first = kept(operator, some)
    assert first.height == 125
    whole = decision_on(operator, operator.summarize(some))
    assert operator.apply(some, whole).rows.equals(first)
    turned = kept(operator, some.reverse())
    assert set(turned["id"]) == set(first["id"])
    assert set(kept(operator, some, seed=1)["id"]) != set(first["id"])


@pytest.mark.parametrize("method", METHODS)
def test_copies_and_silent_rows_go_first(kept: Kept, method: str) -> None:
    apples, shares, cats = "Two apples are left.", "Shares fell again.", "A cat sat on the mat."
    batch = rows("", apples, apples, shares, None, shares, cats, apples, "\n")
    for number, expected in [(3, {apples, shares, cats}), (6, {apples, shares, cats})]:
        assert set(kept(sample(method=method, share=1.0, rows=number), batch)["text"]) == expected
    assert kept(sample(method=method, share=1.0, rows=8), batch).height == 8
    assert kept(sample(method=method, share=0.01), batch).height == 0


UNIT = st.lists(st.floats(0, 6.28), min_size=1, max_size=25).map(
    lambda angles: np.array([[np.cos(a), np.sin(a)] for a in angles], np.float32)
)


@given(UNIT, st.data())
def test_the_farthest_is_never_farther_than_twice_what_is_possible(
    points: np.ndarray, data: st.DataObject
) -> None:
    """Gonzalez's bound, by the proof: the taken rows and the one farthest from them are as far from
    one another as that one is, and two of them are in one group of any such partition."""
    number = data.draw(st.integers(1, len(points)))
    taken = _k_center(points @ points.T, number)
    assert len(set(taken.tolist())) == number
    distance = 1 - points @ points[taken].T
    radius = distance.min(axis=1).max()
    apart = 1 - points[taken] @ points[taken].T + 9 * np.eye(number)
    assert apart.min() >= radius - 1e-5


@given(UNIT, st.data())
def test_lazy_selection_takes_the_row_that_adds_most(
    points: np.ndarray, data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(points)))
    similar = np.maximum(points @ points.T, 0)
    taken = _facility_location(points @ points.T, number).tolist()
    assert len(set(taken)) == number
    for size in range(number):
        nearest = similar[taken[:size]].max(axis=0, initial=0)
        added = np.maximum(similar - nearest, 0).sum(axis=1)
        assert added[taken[size]] >= added.max() - 1e-3


def test_embeddings_know_other_words_for_the_same(minilm: Path, kept: Kept) -> None:
    batch = rows(
        "The cat was sitting on the mat.",
        "A cat sat on a mat.",
        "Shares rose sharply at the close of trading.",
    )
    operator = sample(share=1.0, rows=2, by="embeddings")
    assert operator.assets() == ("minilm",)
    taken = set(kept(operator, batch)["id"])
    assert "2" in taken
    assert len(taken) == 2
