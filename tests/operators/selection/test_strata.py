"""Samples by group, and tiers that are repeated."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from decisions import decision_on
from hypothesis import given, strategies as st
from pydantic import ValidationError

from datachef.core import CheckContext, Context, CorpusOperator, RunError
from datachef.operators.selection.quality_upsampling import QualityUpsampling
from datachef.operators.selection.strata import allocated
from datachef.operators.selection.stratified_sample import StratifiedSample

ALLOCATIONS = st.sampled_from(["proportional", "square_root", "equal"])
GROUPS = st.lists(st.sampled_from(["x", "y", "z", None]), max_size=40)


def rows(values: list[Any], name: str = "group") -> pl.DataFrame:
    ids = [f"row-{i}" for i in range(len(values))]
    return pl.DataFrame({"id": ids, "source": "s", name: values}, strict=False)


def applied(operator: CorpusOperator, batch: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    half = batch.height // 2
    parts = [operator.summarize(batch[:half]), operator.summarize(batch[half:])]
    decision = decision_on(operator, pl.concat(parts, how="vertical_relaxed"), Context(seed))
    made = operator.apply(batch, decision)
    assert made.dropped is None or set(made.dropped["reason"]) <= set(operator.reasons())
    return made.rows


@given(GROUPS, ALLOCATIONS, st.integers(1, 50))
def test_a_sample_has_its_size_and_no_group_gives_more_than_its_share(
    groups: list[str | None], allocation: Any, most: int
) -> None:
    batch = rows(groups).with_columns(pl.col("group").cast(pl.String))
    taken = applied(StratifiedSample(by="group", rows=most, allocation=allocation), batch)
    assert taken.height == min(most, len(groups))
    sizes, told = Counter(groups), Counter(taken["group"])
    if allocation == "proportional":
        assert all(abs(told[g] - n / len(groups) * taken.height) < 1 for g, n in sizes.items())
    if allocation == "equal":
        open_groups = [told[g] for g, n in sizes.items() if told[g] < n]
        assert not open_groups or max(told.values()) - min(open_groups) <= 1


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0.1, 9)), min_size=1, max_size=8),
    st.integers(0, 500),
)
def test_what_is_allocated_fits(groups: list[tuple[int, float]], total: int) -> None:
    sizes = np.array([size for size, _ in groups])
    found = allocated(sizes, np.array([weight for _, weight in groups]), total)
    assert found.sum() == min(total, sizes.sum())
    assert ((found >= 0) & (found <= sizes)).all()


def test_bins_flatten_what_is_skewed() -> None:
    batch = rows([float(n * n) for n in range(100)] + [None, float("nan")], "score")
    taken = applied(StratifiedSample(by="score", bins=4, rows=20, allocation="equal"), batch)
    places = [int(row.removeprefix("row-")) for row in taken["id"]]
    counts = Counter(place // 25 for place in places)
    assert counts == {0: 5, 1: 5, 2: 4, 3: 4, 4: 2} or sorted(counts.values()) == [2, 4, 4, 5, 5]


def test_the_rows_of_a_group_are_drawn_by_the_seed() -> None:
    batch = rows(["x"] * 60 + ["y"] * 40)
    operator = StratifiedSample(by="group", share=0.5)
    first = applied(operator, batch)
    assert Counter(first["group"]) == {"x": 30, "y": 20}
    assert applied(operator, batch.reverse())["id"].sort().equals(first["id"].sort())
    assert not applied(operator, batch, 1)["id"].equals(first["id"])


def test_columns_that_hold_no_groups_are_told() -> None:
    batch = rows([[1], [2]])
    with pytest.raises(RunError, match="not single values"):
        StratifiedSample(by="group").summarize(batch)
    with pytest.raises(RunError, match="not numbers"):
        StratifiedSample(by="group", bins=2).summarize(rows(["x"]))
    context = CheckContext(frozenset({"group"}), {}, {"group": "text"})
    assert list(StratifiedSample(by="group", bins=2).check(context))
    assert not list(StratifiedSample(by="group").check(context))
    with pytest.raises(
        ValidationError, match="bins cut a column of numbers, and source holds text"
    ):
        StratifiedSample(bins=4)


def test_tiers_are_taken_so_many_times() -> None:
    batch = rows([float(n) for n in range(400)], "score")
    taken = applied(QualityUpsampling(by="score", epochs=(0, 0.5, 1, 2.25)), batch)
    copies = Counter(int(row.split("~")[0].removeprefix("row-")) for row in taken["id"])
    tiers = [[copies[n] for n in range(start, start + 100)] for start in range(0, 400, 100)]
    assert set(tiers[0]) == {0}
    assert set(tiers[1]) == {0, 1}
    assert 30 < sum(tiers[1]) < 70
    assert set(tiers[2]) == {1}
    assert set(tiers[3]) == {2, 3}
    assert not taken["id"].is_duplicated().any()


@given(
    st.lists(st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0])), max_size=30),
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=4),
)
def test_copies_of_a_tier_differ_by_one_at_most(
    scores: list[float | None], epochs: list[float]
) -> None:
    batch = rows(scores, "score").with_columns(pl.col("score").cast(pl.Float64))
    operator = QualityUpsampling(by="score", epochs=tuple(epochs))
    decision = decision_on(operator, operator.summarize(batch))
    made = operator.apply(batch, decision)
    dropped = 0 if made.dropped is None else made.dropped.height
    assert made.rows.height + dropped == batch.height + made.created
    copies = Counter(row.split("~")[0] for row in made.rows["id"])
    by_score: dict[float | None, list[int]] = {}
    for row, score in batch.select("id", "score").iter_rows():
        by_score.setdefault(score, []).append(copies[row])
    for found in by_score.values():  # equal values are of one tier
        assert max(found) - min(found) <= 1


def test_nothing_to_take_is_a_problem() -> None:
    context = CheckContext(frozenset({"score"}), {}, {})
    ((place, _, _),) = QualityUpsampling(by="score", epochs=(0, 0)).check(context)
    assert place == "epochs"
