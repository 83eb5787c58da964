"""The proxy as its users see it."""

from __future__ import annotations

import json
import time

import numpy as np
import polars as pl
import pytest

from datachef.core import DatachefError
from datachef.reward.proxy.proxy import Proxy


def measurements(count: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Mixtures of four sources of which `good` has diminishing returns, a feature that counts and
    three that do not."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(4, 0.5), size=count)
    quality = random.normal(size=(count, 4))
    scores = 0.2 + 0.1 * np.log1p(shares[:, 0] / 0.1) + 0.05 * quality[:, 0]
    columns = {f"share.{name}": shares[:, i] for i, name in enumerate(("good", "b", "c", "d"))}
    columns |= {f"quality{i}": quality[:, i] for i in range(4)}
    return pl.DataFrame(columns), scores + 0.01 * random.normal(size=count)


@pytest.fixture(scope="module")
def taught() -> Proxy:
    return Proxy.fit(*measurements(40))


def test_it_ranks_new_recipes_and_covers_their_scores(taught: Proxy) -> None:
    features, scores = measurements(200, seed=1)
    found = taught.predict(features)
    ranks = [pl.Series(values).rank().to_numpy() for values in ([p.value for p in found], scores)]
    assert np.corrcoef(*ranks)[0, 1] > 0.95
    inside = [p.low <= score <= p.high for p, score in zip(found, scores, strict=True)]
    assert 0.8 <= np.mean(inside) <= 1
    assert np.mean([p.off_support for p in found]) <= 0.15
    assert set(found[0].parts) >= {"linear", "saturating_ridge", "saturating_law"}


def test_the_same_data_and_seed_give_the_same_bits_and_so_does_json(taught: Proxy) -> None:
    features, _ = measurements(50, seed=2)
    again = Proxy.fit(*measurements(40))
    read = Proxy.from_data(json.loads(json.dumps(taught.to_data(), allow_nan=False)))
    assert again.predict(features) == taught.predict(features) == read.predict(features)
    assert again.to_data() == taught.to_data()


def test_trees_find_a_hump_and_travel_as_json() -> None:
    random = np.random.default_rng(0)
    features = pl.DataFrame({"a": random.normal(size=120), "b": random.normal(size=120)})
    # The middle is best, which no smooth model can say.
    proxy = Proxy.fit(features, np.exp(-(features["a"].to_numpy() ** 2)))
    ends = pl.DataFrame({"a": [-1.5, 0.0, 1.5], "b": [0.0] * 3})
    found = Proxy.from_data(json.loads(json.dumps(proxy.to_data()))).predict(ends)
    assert found == proxy.predict(ends)
    assert found[1].value - max(found[0].value, found[2].value) > 0.5
    assert found[1].parts["residual_trees"] - found[1].parts["linear"] > 0.2


def test_neither_the_order_of_columns_nor_other_columns_matter(taught: Proxy) -> None:
    features, scores = measurements(40)
    turned = features.select(reversed(features.columns))
    assert Proxy.fit(turned, scores).predict(turned) == taught.predict(features)
    more = features.with_columns(new=pl.lit(3.0), words=pl.lit("text"))
    assert taught.predict(more) == taught.predict(features)


def test_what_is_unknown_counts_as_usual(taught: Proxy) -> None:
    features, _ = measurements(5, seed=3)
    median = measurements(40)[0]["quality0"].median()
    usual = taught.predict(features.with_columns(quality0=pl.lit(median)))
    for unknown in (
        features.drop("quality0"),
        features.with_columns(quality0=pl.lit(None)),
        features.with_columns(quality0=pl.lit(float("nan"))),
        features.with_columns(quality0=pl.lit(float("inf"))),
    ):
        found = taught.predict(unknown)
        assert [p.value for p in found] == pytest.approx([p.value for p in usual])


def test_a_feature_that_was_never_known_says_nothing() -> None:
    features, scores = measurements(30)
    proxy = Proxy.fit(features.with_columns(blank=pl.lit(None, pl.Float64)), scores)
    known, _ = measurements(3, seed=4)
    assert proxy.predict(known.with_columns(blank=pl.lit(5.0))) == proxy.predict(known)


@pytest.mark.parametrize(
    "change",
    [
        {"share.new": 0.4},
        {"quality1": 40.0},
        {"share.good": 0.0, "share.b": 0.0, "share.c": 0.0, "share.d": 0.0, "share.new": 1.0},
    ],
)
def test_leaving_the_support_is_flagged_and_costs(taught: Proxy, change: dict[str, float]) -> None:
    features, _ = measurements(40)
    inside = taught.predict(features)
    usual = sorted(inside, key=lambda p: p.uncertainty)[len(inside) // 2]
    moved = features[:1].with_columns(**{name: pl.lit(value) for name, value in change.items()})
    found = taught.predict(moved)[0]
    assert found.off_support
    assert found.uncertainty > 1.25 * usual.uncertainty
    assert found.high - found.low > usual.high - usual.low


def test_a_column_that_never_varied_is_missed_when_it_does() -> None:
    features, scores = measurements(30)
    features = features.with_columns(chat_share=pl.lit(1.0))
    proxy = Proxy.fit(features, scores)
    row = features.filter(pl.Series([not p.off_support for p in proxy.predict(features)]))[:1]
    rounded = row.with_columns(chat_share=pl.lit(1.0 - 1e-9))
    assert not proxy.predict(rounded)[0].off_support
    assert proxy.predict(row.with_columns(chat_share=pl.lit(0.5)))[0].off_support


def test_no_prediction_runs_away(taught: Proxy) -> None:
    features, scores = measurements(40)
    columns = [pl.lit(1e6).alias(f"quality{i}") for i in range(4)]
    found = taught.predict(features.with_columns(columns))
    reach = scores.max() - scores.min()
    assert all(scores.min() - reach < p.value < scores.max() + reach for p in found)


def test_few_measurements_make_fewer_models_and_wider_intervals(taught: Proxy) -> None:
    features, scores = measurements(40)
    few = Proxy.fit(features[:6], scores[:6])
    new, _ = measurements(50, seed=5)
    wide, narrow = few.predict(new), taught.predict(new)
    assert set(wide[0].parts) == {"linear", "saturating_ridge", "saturating_law", "rank_ridge"}
    assert np.median([p.high - p.low for p in wide]) > 2 * np.median(
        [p.high - p.low for p in narrow]
    )


def test_repeated_measurements_of_a_recipe_do_not_vouch_for_each_other() -> None:
    random = np.random.default_rng(0)
    features = pl.DataFrame({f"f{i}": random.normal(size=8) for i in range(6)})
    scores = random.normal(size=8)
    rows = np.repeat(np.arange(8), 5)
    repeated, measured = features[rows], scores[rows] + 0.001 * random.normal(size=40)
    honest = Proxy.fit(repeated, measured, groups=[f"recipe {row}" for row in rows])
    fooled = Proxy.fit(repeated, measured)
    new = pl.DataFrame({f"f{i}": random.normal(size=20) for i in range(6)})
    widths = [np.median([p.high - p.low for p in proxy.predict(new)]) for proxy in (honest, fooled)]
    # The scores are chance: without groups, each recipe is predicted by its own copies.
    assert widths[0] > 3 * scores.std() > 3 * widths[1]


def test_wider_coverage_makes_wider_intervals() -> None:
    features, scores = measurements(40)
    half, most = (Proxy.fit(features, scores, coverage=c).predict(features) for c in (0.5, 0.95))
    assert all(a.high - a.low < b.high - b.low for a, b in zip(half, most, strict=True))
    assert [p.value for p in half] == [p.value for p in most]


def test_scores_and_features_that_never_vary() -> None:
    features, scores = measurements(12)
    flat = Proxy.fit(features, np.full(12, 0.4)).predict(features)
    assert [p.value for p in flat] == pytest.approx([0.4] * 12)
    blank = Proxy.fit(pl.DataFrame({"a": [1.0] * 12}), scores).predict(pl.DataFrame({"a": [1.0]}))
    assert blank[0].value == pytest.approx(scores.mean())


def test_no_rows_give_no_predictions(taught: Proxy) -> None:
    assert taught.predict(measurements(40)[0].clear()) == []


def test_a_prediction_takes_less_than_five_milliseconds(taught: Proxy) -> None:
    row = measurements(1, seed=6)[0]
    times = []
    for _ in range(20):
        start = time.process_time()
        taught.predict(row)
        times.append(time.process_time() - start)
    assert min(times) < 0.005


@pytest.mark.parametrize(
    ("features", "scores", "groups", "message"),
    [
        (measurements(5)[0], np.zeros(5), None, "too few to learn from"),
        (measurements(9)[0], np.zeros(9), ["a", "b", "c"] * 3, "9 measurements of 3 recipes"),
        (measurements(9)[0], np.zeros(8), None, "do not belong together"),
        (measurements(9)[0], np.zeros(9), ["a"] * 8, "do not belong together"),
        (measurements(9)[0], np.full(9, np.nan), None, "not a finite number"),
        (pl.DataFrame(), np.zeros(9), None, "no features"),
        (pl.DataFrame({"a": ["x"] * 9}), np.zeros(9), None, "'a' holds String"),
        (pl.DataFrame({"share.a": [-0.1] + [1.0] * 8}), np.zeros(9), None, "negative"),
    ],
)
def test_mistakes_are_explained(
    features: pl.DataFrame, scores: np.ndarray, groups: list[str] | None, message: str
) -> None:
    with pytest.raises(DatachefError, match=message):
        Proxy.fit(features, scores, groups=groups)


@pytest.mark.parametrize("coverage", [0.0, 1.0, float("nan")])
def test_a_coverage_that_cannot_be_promised(coverage: float) -> None:
    with pytest.raises(DatachefError, match="coverage"):
        Proxy.fit(*measurements(9), coverage=coverage)


@pytest.mark.parametrize(
    "damage", [{"format": "another"}, {"models": []}, {"calibration": None}, {"models": [{}]}]
)
def test_a_damaged_file_is_explained(taught: Proxy, damage: dict[str, object]) -> None:
    with pytest.raises(DatachefError) as caught:
        Proxy.from_data(taught.to_data() | damage)
    assert "chef fit" in caught.value.hint
