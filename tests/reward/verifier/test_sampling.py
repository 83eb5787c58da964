"""Draws and estimates against what is worked out by hand, or by all possible samples."""

from __future__ import annotations

from itertools import combinations
from math import sqrt

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from datachef.reward.verifier.judge import ROW_GRADES
from datachef.reward.verifier.verifier import Stratum, agreement, draw, estimate, kappa


def rows_of(sizes: dict[str, int], weights: dict[str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"id": f"{name}{n}", "source": name, "weight": weights[name]}
            for name, size in sizes.items()
            for n in range(size)
        ],
        schema={"id": pl.String, "source": pl.String, "weight": pl.Float64},
    )


def counts(strata: list[Stratum]) -> dict[str, int]:
    return {stratum.source: stratum.rows.height for stratum in strata}


def test_sources_give_rows_by_their_weight() -> None:
    rows = rows_of({"a": 500, "b": 500, "c": 500}, {"a": 6.0, "b": 3.0, "c": 1.0})
    assert counts(draw(rows, 100, seed=0)) == {"a": 60, "b": 30, "c": 10}


def test_each_source_gives_at_least_one_and_no_more_than_it_has() -> None:
    sizes = {"big": 1000, "small": 3, "tiny": 1}
    rows = rows_of(sizes, {"big": 1.0, "small": 1e9, "tiny": 1e-9})
    assert counts(draw(rows, 20, seed=0)) == {"big": 16, "small": 3, "tiny": 1}
    assert counts(draw(rows, 1, seed=0)) == {"big": 1, "small": 1, "tiny": 1}
    assert counts(draw(rows, 10**6, seed=0)) == sizes


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.integers(1, 30), st.floats(1e-6, 1e6)), min_size=1
    ),
    st.integers(1, 100),
    st.integers(0, 2**31),
)
def test_a_draw_is_complete_and_fair(
    sources: dict[str, tuple[int, float]], count: int, seed: int
) -> None:
    sizes = {name: size for name, (size, _) in sources.items()}
    weights = {name: weight for name, (_, weight) in sources.items()}
    strata = draw(rows_of(sizes, weights), count, seed)
    assert [stratum.source for stratum in strata] == sorted(sizes)
    assert {stratum.source: stratum.size for stratum in strata} == sizes
    assert sum(stratum.share for stratum in strata) == pytest.approx(1)
    assert sum(counts(strata).values()) == min(max(count, len(sizes)), sum(sizes.values()))
    for stratum in strata:
        ids = stratum.rows["id"].to_list()
        assert len(set(ids)) == len(ids) >= 1


def test_a_larger_sample_holds_a_smaller_one() -> None:
    rows = rows_of({"a": 200}, {"a": 1.0})
    few, many = (draw(rows, count, seed=3)[0].rows["id"] for count in (10, 50))
    assert few.to_list() == many.head(10).to_list()
    half = rows.filter(pl.col("id").is_in(many.to_list()))
    assert draw(half, 10, seed=3)[0].rows["id"].to_list() == few.to_list()


def one_source(weights: list[float], size: int, share: float = 1.0) -> Stratum:
    return Stratum("a", share, size, pl.DataFrame({"weight": weights}))


def test_the_error_of_one_source() -> None:
    result = estimate([one_source([2.0] * 4, size=10)], {"a": [1.0, 0.4, 0.0, 1.0]})
    variance = (0.4**2 + 0.2**2 + 0.6**2 + 0.4**2) / 3
    assert result.mean == pytest.approx(0.6)
    assert result.standard_error == pytest.approx(sqrt((1 - 4 / 10) * variance / 4))


def test_one_row_has_the_error_of_a_coin_and_all_rows_have_none() -> None:
    assert estimate([one_source([1.0], size=4)], {"a": [1.0]}).standard_error == pytest.approx(
        sqrt(0.75 * 0.25)
    )
    assert estimate([one_source([1.0], size=1)], {"a": [0.4]}).standard_error == 0
    assert estimate([one_source([1.0, 3.0], size=2)], {"a": [0.0, 1.0]}).standard_error == 0


def test_rows_count_by_their_weight() -> None:
    result = estimate([one_source([1.0, 3.0], size=4)], {"a": [0.0, 1.0]})
    assert result.mean == 0.75
    # v = 2 / 1 * ((1 * 0.75)^2 + (3 * 0.25)^2) / 16
    assert result.standard_error == pytest.approx(sqrt(0.5 * 2 * (0.5625 + 0.5625) / 16))


def test_the_squared_error_is_that_of_all_samples_on_average() -> None:
    values = {"a": [1.0, 0.4, 0.0, 1.0, 0.4], "b": [0.0, 1.0, 1.0]}
    share = {"a": 5 / 8, "b": 3 / 8}
    truth = sum(share[name] * sum(ys) / len(ys) for name, ys in values.items())
    errors, claims = [], []
    for some in combinations(values["a"], 3):
        for others in combinations(values["b"], 2):
            strata = [
                Stratum(name, share[name], len(values[name]), pl.DataFrame({"weight": [1.0] * n}))
                for name, n in (("a", 3), ("b", 2))
            ]
            result = estimate(strata, {"a": some, "b": others})
            errors.append((result.mean - truth) ** 2)
            claims.append(result.standard_error**2)
    assert sum(claims) == pytest.approx(sum(errors))


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.tuples(
            st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.7, 1.0]), min_size=1, max_size=9),
            st.integers(0, 5),
            st.floats(0.01, 100),
        ),
        min_size=1,
    )
)
def test_the_mean_is_the_mean_by_hand(
    sources: dict[str, tuple[list[float], int, float]],
) -> None:
    whole = sum((len(ys) + unseen) * weight for ys, unseen, weight in sources.values())
    strata = [
        Stratum(
            name,
            (len(ys) + unseen) * weight / whole,
            len(ys) + unseen,
            pl.DataFrame({"weight": [weight] * len(ys)}),
        )
        for name, (ys, unseen, weight) in sources.items()
    ]
    result = estimate(strata, {name: ys for name, (ys, _, _) in sources.items()})
    by_hand = sum(
        (len(ys) + unseen) * weight * sum(ys) / len(ys) for ys, unseen, weight in sources.values()
    )
    assert result.mean == pytest.approx(by_hand / whole)
    assert 0 <= result.mean <= 1
    assert 0 <= result.standard_error <= 0.75
    if not any(unseen for _, unseen, _ in sources.values()):
        assert result.standard_error == 0


_PAIRS = st.lists(st.tuples(st.sampled_from(ROW_GRADES), st.sampled_from(ROW_GRADES)), max_size=30)


@settings(max_examples=40)
@given(_PAIRS)
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = kappa(pairs)  # type: ignore[arg-type]
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    if not pairs or len({*one, *other}) == 1:
        assert found is None
        return
    assert found == pytest.approx(metrics.cohen_kappa_score(one, other))
    assert agreement(pairs) == pytest.approx(metrics.accuracy_score(one, other))  # type: ignore[arg-type]


def test_agreement_of_nobody() -> None:
    assert agreement([]) is None
    assert kappa([]) is None
    assert kappa([("pass", "pass")]) is None
