"""A random part, and the best part."""

from __future__ import annotations

import math

import polars as pl
import pytest
from decisions import decision_on
from hypothesis import given, strategies as st

from datachef.core import Context, CorpusOperator, RunError
from datachef.operators.selection.sample import Sample
from datachef.operators.selection.top_selection import TopSelection

SCORES = st.one_of(st.none(), st.sampled_from([-1.0, 0.5, math.nan, 7.0]))
VALUES = st.lists(st.tuples(st.sampled_from("ab"), SCORES), max_size=30)
SHARES = st.sampled_from([0.001, 0.1, 0.25, 0.5, 0.9, 1.0])
ROWS = st.one_of(st.none(), st.integers(1, 40))


def rows(values: list[tuple[str, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"row-{i}" for i in range(len(values))],
            "source": [source for source, _ in values],
            "score": [score for _, score in values],
        },
        schema={"id": pl.String, "source": pl.String, "score": pl.Float64},
    )


def kept(operator: CorpusOperator, batch: pl.DataFrame, seed: int = 0) -> list[str]:
    decision = decision_on(operator, operator.summarize(batch), Context(seed))
    assert decision.columns == ["id", "reason"]
    assert set(decision["reason"]) <= set(operator.reasons())
    return operator.apply(batch, decision).rows["id"].to_list()


def expected(share: float, most: int | None, available: int) -> int:
    wanted = math.floor(share * available + 0.5)
    return wanted if most is None else min(wanted, most)


@given(VALUES, SHARES, ROWS, st.integers(0, 3))
def test_a_sample_has_its_size_and_keeps_the_order(
    values: list[tuple[str, float | None]], share: float, most: int | None, seed: int
) -> None:
    batch = rows(values)
    sample = kept(Sample(share=share, rows=most), batch, seed)
    assert len(sample) == expected(share, most, batch.height)
    assert sample == [row for row in batch["id"] if row in sample]


@given(VALUES, ROWS)
def test_a_smaller_sample_is_part_of_a_larger_one(
    values: list[tuple[str, float | None]], most: int | None
) -> None:
    batch = rows(values)
    small, large = (set(kept(Sample(share=s, rows=most), batch)) for s in (0.25, 0.5))
    assert small <= large


def test_a_sample_depends_on_the_seed_and_not_on_the_order_of_the_data() -> None:
    batch = rows([("a", 0.0)] * 200)
    operator = Sample(share=0.5)
    assert set(kept(operator, batch)) == set(kept(operator, batch.reverse()))
    assert kept(operator, batch, 0) != kept(operator, batch, 1)


@given(VALUES, SHARES, ROWS, st.sampled_from(["descending", "ascending"]), st.booleans())
def test_the_best_stay(
    values: list[tuple[str, float | None]], share: float, most: int | None, order: str, each: bool
) -> None:
    batch = rows(values)
    operator = TopSelection.model_validate(
        {"op": "top_selection", "by": "score", "share": share, "rows": most, "order": order}
        | {"per_source": each}
    )
    sign = -1 if order == "descending" else 1
    wanted: set[str] = set()
    for source in "ab" if each else ["ab"]:
        group = [
            (sign * score if score is not None and not math.isnan(score) else math.inf, i)
            for i, (own, score) in enumerate(values)
            if own in source
        ]
        best = sorted(group)[: expected(share, most, len(group))]
        wanted |= {f"row-{i}" for _, i in best}
    assert set(kept(operator, batch)) == wanted


def test_top_selection_reads_its_column_and_refuses_text() -> None:
    operator = TopSelection(by="text")
    assert operator.reads() == {"text"}
    with pytest.raises(RunError, match="not numbers"):
        operator.summarize(pl.DataFrame({"id": ["1"], "text": ["one"]}))


@given(VALUES, st.integers(0, 30))
def test_batch_cuts_do_not_matter(values: list[tuple[str, float | None]], cut: int) -> None:
    batch = rows(values)
    for operator in (Sample(share=0.5), TopSelection(by="score", per_source=True)):
        parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
        assert pl.concat(parts).equals(operator.summarize(batch))
