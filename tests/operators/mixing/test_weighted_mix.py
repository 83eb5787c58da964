"""A mix keeps to its weights, its budget and its epochs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pytest
from decisions import decision_on
from hypothesis import given, strategies as st
from pydantic import ValidationError

from datachef.core import Budget, CheckContext, Context, Size
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
    decision = decision_on(operator, operator.summarize(batch), Context(seed))
    assert 1 not in decision["copies"].to_list()
    return operator.apply(batch, decision).rows


def shortages(corpus: Corpus, **parameters: Any) -> list[tuple[str, str, str]]:
    operator = WeightedMix.model_validate({"op": "weighted_mix", **parameters})
    sizes = {name: Size(len(rows), sum(rows)) for name, rows in corpus.items()}
    return list(operator.shortages(sizes))


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


@pytest.mark.parametrize(
    ("shortage", "expected"),
    [
        ("stop", {"a": 100, "b": 100, "c": 50}),
        ("redistribute", {"a": 100, "b": 600, "c": 300}),
        ("repeat", {"a": 400, "b": 400, "c": 200}),
    ],
)
def test_what_becomes_of_a_share_that_a_small_source_cannot_give(
    shortage: str, expected: dict[str, int]
) -> None:
    corpus = {"a": [10] * 10, "b": [10] * 100, "c": [10] * 100}
    weights = {"a": 2, "b": 2, "c": 1}
    parameters = {"weights": weights, "budget": {"tokens": 1000}, "shortage": shortage}
    assert taken(corpus, **parameters) == expected
    real = sum(expected.values())
    ((place, message, hint),) = shortages(corpus, **parameters)
    assert place == "budget"
    assert message.startswith("a gives 100 tokens of the 400 that its share of 40.0% asks for: ")
    assert {
        "stop": f"the mix stops at {real} of 1,000 tokens, as the weights allow",
        "redistribute": "a 10.0% instead of 40.0%, b 60.0% instead of 40.0%, c 30.0% instead of",
        "repeat": "more is repeated than max_epochs says: a 4.0 times",
    }[shortage] in message
    assert ("redistribute or repeat" in hint) == (shortage == "stop")


def test_nothing_is_said_of_sources_that_give_what_is_asked() -> None:
    corpus = {"a": [10] * 40, "b": [10] * 100}
    for shortage in ("stop", "redistribute", "repeat"):
        parameters = {
            "weights": {"a": 0.4, "b": 0.6}, "budget": {"tokens": 1000}, "shortage": shortage,
        }  # fmt: skip
        assert taken(corpus, **parameters) == {"a": 400, "b": 600}
        assert not shortages(corpus, **parameters)


@pytest.mark.parametrize(
    ("shortage", "expected"),
    [("stop", {"a": 60}), ("redistribute", {"a": 60}), ("repeat", {"a": 1000})],
)
def test_a_budget_beyond_all_sources(shortage: str, expected: dict[str, int]) -> None:
    parameters = {"budget": {"tokens": 1000}, "max_epochs": 2, "shortage": shortage}
    assert taken({"a": [10] * 3}, **parameters) == expected
    assert len(shortages({"a": [10] * 3}, **parameters)) == 1


def test_a_source_that_leaves_little_of_the_others_is_told() -> None:
    corpus = {"a": [10] * 100, "b": [5]}
    assert taken(corpus, weights={"a": 4, "b": 1}) == {"a": 20, "b": 5}
    ((place, message, _),) = shortages(corpus, weights={"a": 4, "b": 1})
    assert place == "weights"
    assert message == "b holds 5 tokens, so that by the weights 25 of 1,005 are taken"
    assert not shortages(corpus, weights={"a": 200, "b": 1})
    assert not shortages(corpus, weights={"a": 4, "b": 1}, budget={"tokens": 25})
    assert not shortages(corpus)


@pytest.mark.parametrize("shortage", ["stop", "repeat"])
def test_nothing_honours_the_weight_of_a_source_that_holds_nothing(shortage: str) -> None:
    corpus = {"a": [1], "b": [0]}
    for budget in (None, {"tokens": 1}, {"tokens": 100}):
        parameters = {"weights": {"a": 1, "b": 1}, "budget": budget, "shortage": shortage}
        assert taken(corpus, **parameters) == {}
        assert "b" in shortages(corpus, **parameters)[0][1]
    for budget in (None, {"tokens": 1}):
        parameters = {"weights": {"a": 1, "b": 1}, "budget": budget, "shortage": "redistribute"}
        assert taken(corpus, **parameters) == {"a": 1}
        assert "the others" in shortages(corpus, **parameters)[0][1]


def test_a_source_of_which_no_row_arrives_is_as_one_that_holds_nothing() -> None:
    operator = WeightedMix(weights={"a": 1, "gone": 1}, budget=Budget(rows=1))
    batch = rows({"a": [1, 1]})
    decision = decision_on(operator, operator.summarize(batch), Context(0, ("a", "gone")))
    assert operator.apply(batch, decision).rows.height == 0


def test_a_source_that_is_not_named_or_weighs_nothing_is_not_taken() -> None:
    corpus = {"a": [1], "b": [1], "c": [0], "d": [1]}
    result = mixed(corpus, weights={"a": 1, "b": 0, "d": 1})
    assert result["source"].to_list() == ["a", "d"]


def test_a_long_row_leaves_no_source_short() -> None:
    """Of what is left when a long row no longer fits, shorter ones take their place."""
    corpus = {"a": [1000, *[7] * 300], "b": [10] * 300}
    for seed in range(5):
        result = mixed(corpus, seed, weights={"a": 1, "b": 1}, budget={"tokens": 1400})
        told = dict(result.group_by("source").agg(pl.col("tokens").sum()).iter_rows())
        assert told["a"] > 700 - 7
        assert told["b"] == 700


@given(
    CORPORA.filter(len),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0.1, 0.5, 0.7, 3])),
    st.integers(1, 600),
    st.integers(1, 4),
    st.sampled_from(["stop", "redistribute", "repeat"]),
)
def test_shares_are_as_asked_or_the_lack_is_told(
    corpus: Corpus, weights: dict[str, float], budget: int, epochs: int, shortage: str
) -> None:
    weights = {name: weights.get(name, 1) for name in corpus}
    parameters = {
        "weights": weights, "budget": {"tokens": budget}, "max_epochs": epochs,
        "shortage": shortage,
    }  # fmt: skip
    told = list(shortages(corpus, **parameters))
    real = taken(corpus, **parameters)
    sizes = {name: Size(len(rows), sum(rows)) for name, rows in corpus.items()}
    asked = WeightedMix.model_validate({"op": "weighted_mix", **parameters}).asked(sizes)
    whole = sum(weights.values())
    assert asked == pytest.approx({name: weight / whole for name, weight in weights.items()})
    if not told:
        for name in corpus:
            exact = asked[name] * budget
            least = min(exact, sizes[name].tokens * epochs) * 0.98 - max(corpus[name]) - 1
            assert least <= real.get(name, 0) <= exact + 1


def test_a_source_may_have_a_cap_of_its_own() -> None:
    corpus = {"a": [10] * 10, "b": [10] * 100}
    caps = {"weights": {"a": 1, "b": 1}, "max_epochs": 2, "source_epochs": {"a": 5}}
    assert taken(corpus, **caps) == {"a": 500, "b": 500}
    assert taken(corpus, budget={"tokens": 1_400}, **caps) == {"a": 500, "b": 500}
    ((_, message, _),) = shortages(corpus, budget={"tokens": 1_400}, **caps)
    assert message.startswith("a gives 500 tokens in 5 epochs of the 700 that")
    sparing = caps | {"source_epochs": {"b": 1}, "shortage": "redistribute"}
    assert taken(corpus, budget={"tokens": 9_000}, **sparing) == {"a": 200, "b": 1_000}
    context = CheckContext(frozenset(), dict.fromkeys("ab"))
    mix = WeightedMix(source_epochs={"c": 2})
    assert [place for place, _, _ in mix.check(context)] == ["source_epochs.c"]


@given(
    CORPORA.filter(len),
    BUDGETS,
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5)),
    st.sampled_from(["stop", "redistribute"]),
)
def test_no_source_is_taken_more_often_than_its_cap(
    corpus: Corpus, budget: Any, caps: dict[str, int], shortage: str
) -> None:
    weights = dict.fromkeys(corpus, 1)
    result = mixed(
        corpus, weights=weights, budget=budget, source_epochs=caps, max_epochs=2, shortage=shortage
    )
    for row, copies in Counter(row.split("~")[0] for row in result["id"]).items():
        assert copies <= caps.get(row[0], 2)


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
    forth, back = (decision_on(operator, p) for p in (parts, parts.reverse()))
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
