"""A mix keeps to its weights, its budget and its epochs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datachef.core.corpus import Context, Size
from datachef.core.task import Budget
from datachef.operators.mixing.weighted_mix import WeightedMix

Corpus = dict[str, list[int]]
CORPORA = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(0, 30), min_size=1, max_size=15), max_size=4
)
WEIGHTS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([0, 0.1, 0.5, 0.7, 3]))
BUDGETS = st.one_of(
    st.none(),
    st.integers(1, 600).map(lambda n: {"tokens": n}),
    st.integers(1, 60).map(lambda n: {"rows": n}),
)


def rows(corpus: Corpus) -> pl.DataFrame:
    table = [(f"{s}{i}", s, n) for s, sizes in corpus.items() for i, n in enumerate(sizes)]
    schema = {"id": pl.String, "source": pl.String, "tokens": pl.UInt32}
    return pl.DataFrame(table, schema=schema, orient="row")


def mixed(corpus: Corpus, seed: int = 0, **parameters: Any) -> pl.DataFrame:
    operator = WeightedMix.model_validate({"op": "weighted_mix", **parameters})
    batch = rows(corpus)
    decision = operator.resolve(operator.summarize(batch).lazy(), Context(seed))
    assert 1 not in decision["copies"].to_list()
    return operator.apply(batch, decision).rows


def taken(corpus: Corpus, unit: str = "tokens", **parameters: Any) -> dict[str, int]:
    result = mixed(corpus, **parameters)
    size = pl.col("tokens").sum() if unit == "tokens" else pl.len()
    return dict(result.group_by("source").agg(size).iter_rows())


@given(CORPORA, WEIGHTS, BUDGETS, st.integers(1, 4), st.sampled_from([0.5, 1.0, 2.0]))
def test_neither_budget_nor_epochs_are_exceeded(
    corpus: Corpus, weights: dict[str, float], budget: Any, epochs: int, temperature: float
) -> None:
    result = mixed(
        corpus, weights=weights, budget=budget, max_epochs=epochs, temperature=temperature
    )
    copies = Counter(row.split("~")[0] for row in result["id"])
    assert max(copies.values(), default=0) <= epochs
    assert result["id"].is_duplicated().sum() == 0
    if budget:
        total = result["tokens"].sum() if "tokens" in budget else result.height
        assert total <= next(iter(budget.values()))
    if weights:
        assert all(weights.get(source, 0) > 0 for source in result["source"])


@given(CORPORA, WEIGHTS, BUDGETS, st.integers(1, 4))
def test_copies_within_a_source_differ_by_one_at_most(
    corpus: Corpus, weights: dict[str, float], budget: Any, epochs: int
) -> None:
    result = mixed(corpus, weights=weights, budget=budget, max_epochs=epochs)
    copies = Counter(row.split("~")[0] for row in result["id"])
    for source, sizes in corpus.items():
        counts = [copies[f"{source}{i}"] for i in range(len(sizes))]
        assert max(counts) - min(counts) <= 1


def test_without_anything_asked_for_every_row_is_taken_once() -> None:
    assert taken({"a": [5, 6], "b": [1], "c": [0]}) == {"a": 11, "b": 1, "c": 0}


def test_weights_are_honoured_within_a_row() -> None:
    corpus = {"a": [10] * 100, "b": [10] * 100}
    assert taken(corpus, weights={"a": 0.7, "b": 0.3}, budget={"tokens": 1000}) == {
        "a": 700,
        "b": 300,
    }
    assert taken(corpus, "rows", weights={"a": 7, "b": 3}, budget={"rows": 10}) == {"a": 7, "b": 3}


def test_without_a_budget_the_mix_is_as_large_as_the_weights_allow() -> None:
    corpus = {"a": [10] * 10, "b": [10] * 100}
    assert taken(corpus, weights={"a": 0.1, "b": 0.2}) == {"a": 100, "b": 200}
    assert taken(corpus, weights={"a": 1, "b": 1}, max_epochs=4) == {"a": 400, "b": 400}


def test_what_a_small_source_cannot_give_goes_to_the_others_by_weight() -> None:
    corpus = {"a": [10] * 10, "b": [10] * 100, "c": [10] * 100}
    weights = {"a": 2, "b": 2, "c": 1}
    assert taken(corpus, weights=weights, budget={"tokens": 1000}, max_epochs=1) == {
        "a": 100,
        "b": 600,
        "c": 300,
    }


def test_a_budget_that_nobody_can_fill_stays_open() -> None:
    assert taken({"a": [10] * 3}, budget={"tokens": 1000}, max_epochs=2) == {"a": 60}


def test_a_source_that_is_not_named_or_weighs_nothing_is_not_taken() -> None:
    corpus = {"a": [1], "b": [1], "c": [0], "d": [0]}
    result = mixed(corpus, weights={"a": 1, "b": 0, "d": 1})
    assert result["source"].to_list() == ["a", "d"]


def test_temperature_evens_sizes_out() -> None:
    corpus = {"a": [10] * 10, "b": [10] * 1000}
    budget = {"tokens": 1100}
    assert taken(corpus, budget=budget) == {"a": 10, "b": 1080}
    assert taken(corpus, budget=budget, temperature=2) == {"a": 100, "b": 1000}


@given(CORPORA, WEIGHTS, BUDGETS, st.integers(0, 60))
def test_batch_cuts_and_order_do_not_matter(
    corpus: Corpus, weights: dict[str, float], budget: Any, cut: int
) -> None:
    operator = WeightedMix.model_validate(
        {"op": "weighted_mix", "weights": weights, "budget": budget, "max_epochs": 2}
    )
    batch = rows(corpus)
    parts = pl.concat([operator.summarize(batch[:cut]), operator.summarize(batch[cut:])])
    assert parts.equals(operator.summarize(batch))
    forth, back = (operator.resolve(p.lazy(), Context(0)) for p in (parts, parts.reverse()))
    assert forth.sort("id").equals(back.sort("id"))


def test_the_seed_decides_which_rows_a_rest_takes() -> None:
    corpus = {"a": [1] * 100}
    first, second = (mixed(corpus, seed, budget={"rows": 50})["id"].to_list() for seed in (0, 1))
    assert len(first) == len(second) == 50
    assert first != second


def test_tokens_are_read_only_where_they_count() -> None:
    assert WeightedMix().reads() == {"tokens"}
    assert WeightedMix(budget=Budget(rows=5)).reads() == set()


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
def test_a_weight_is_a_plain_number(weight: float) -> None:
    with pytest.raises(ValidationError):
        WeightedMix(weights={"a": weight})


@given(CORPORA, WEIGHTS, BUDGETS, st.integers(1, 4), st.sampled_from([0.5, 1.0, 2.0]))
def test_epochs_tell_what_is_taken_but_for_one_row(
    corpus: Corpus, weights: dict[str, float], budget: Any, epochs: int, temperature: float
) -> None:
    parameters = {
        "weights": weights, "budget": budget, "max_epochs": epochs, "temperature": temperature,
    }  # fmt: skip
    unit = "rows" if budget and "rows" in budget else "tokens"
    operator = WeightedMix.model_validate({"op": "weighted_mix", **parameters})
    sizes = {name: Size(len(rows), sum(rows)) for name, rows in corpus.items()}
    told = operator.epochs(sizes)
    real = taken(corpus, unit, **parameters)
    for name, size in sizes.items():
        whole = size.rows if unit == "rows" else size.tokens
        slack = 1 if unit == "rows" else max(corpus[name])
        assert abs(told[name] * whole - real.get(name, 0)) <= slack
