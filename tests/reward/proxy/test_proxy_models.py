"""The parts of the proxy, each on data whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from scipy.stats import spearmanr

from datachef.reward.proxy.encoding import EncodedFeatures, Encoder, Floats
from datachef.reward.proxy.ensemble import (
    ResidualTrees,
    StackedEnsemble,
    rounds_to_try,
    stacked_weights,
)
from datachef.reward.proxy.folds import group_numbers, split
from datachef.reward.proxy.laws import SaturatingLaw
from datachef.reward.proxy.models import (
    ALL,
    FeatureScreen,
    RankRidge,
    SaturatingRidge,
    ScreenedRidge,
    tune_screen,
)
from datachef.reward.proxy.ranks import RankTransform
from datachef.reward.proxy.support import Support


def mixtures(count: int, sources: int, seed: int = 0) -> EncodedFeatures:
    shares = np.random.default_rng(seed).dirichlet(np.full(sources, 0.5), size=count)
    columns = {f"share.{i}": shares[:, i] for i in range(sources)}
    frame = pl.DataFrame(columns)
    return Encoder.fit(frame).encode(frame)


@pytest.mark.parametrize("harmful", [0.0, -0.8])
def test_the_law_recovers_itself_and_lets_a_source_harm_only_where_one_does(harmful: float) -> None:
    seen, unseen = mixtures(60, 4), mixtures(40, 4, seed=1)
    effects = np.array([1.0, 0.0, harmful, 0.3])

    def truth(table: EncodedFeatures) -> Floats:
        return 0.9 - 0.5 * np.exp(-np.log1p(table.amounts / 0.3) @ effects)

    law = SaturatingLaw.tune(seen, truth(seen), split(np.arange(60), 5, 0)).model
    assert isinstance(law, SaturatingLaw)
    assert (law.knee, law.harm) == (0.3, harmful < 0)
    assert np.abs(law.predict(unseen) - truth(unseen)).max() < 0.02
    assert (law.effects >= 0).all() or law.harm


def test_more_of_a_good_source_never_lowers_the_law_whatever_one_outlier_says() -> None:
    table = mixtures(30, 4)
    scores = np.log1p(table.shares[:, 0] / 0.1)
    scores[int(scores.argmax())] = -1.0
    law = SaturatingLaw.tune(table, scores, split(np.arange(30), 5, 0)).model
    unseen = mixtures(40, 4, seed=1)
    assert np.corrcoef(law.predict(unseen), np.log1p(unseen.shares[:, 0] / 0.1))[0, 1] > 0.95


def test_the_law_is_fitted_to_fewer_rows_than_sources() -> None:
    table = mixtures(12, 20)
    law = SaturatingLaw.tune(table, table.shares[:, 0], split(np.arange(12), 5, 0)).model
    unseen = mixtures(50, 20, seed=1)
    assert np.corrcoef(law.predict(unseen), unseen.shares[:, 0])[0, 1] > 0.8


def test_little_text_is_worth_less_than_its_share() -> None:
    frame = pl.DataFrame({"share.a": [1.0, 1.0], "log_unique_tokens": [np.log1p(50_000), None]})
    assert Encoder.fit(frame).encode(frame).amounts[:, 0] == pytest.approx([0.5, 1.0])


def test_the_saturating_ridge_finds_the_knee() -> None:
    seen, unseen = mixtures(80, 4), mixtures(40, 4, seed=1)
    scores, truth = (np.log1p(table.shares[:, 0] / 0.03) for table in (seen, unseen))
    ridge = SaturatingRidge.tune(seen, scores, split(np.arange(80), 10, 0)).model
    assert isinstance(ridge, SaturatingRidge)
    assert ridge.knee == 0.03
    assert np.abs(ridge.predict(unseen) - truth).max() < 0.05


def test_ranks_are_learned_through_outliers_and_gaps() -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    order = features @ np.array([1.0, 1.0, 0.0])
    scores = np.where(order > 0, 100.0, 0.0) + np.tanh(order)
    features[:3] *= 1000
    frame = pl.DataFrame({f"feature{i}": features[:, i] for i in range(3)})
    table = Encoder.fit(frame).encode(frame)
    seen, unseen = table.take(slice(0, 40)), table.take(slice(40, 60))
    model = RankRidge.tune(seen, scores[:40], split(np.arange(40), 10, 0)).model
    predicted = model.predict(unseen)
    assert spearmanr(predicted, scores[40:]).statistic > 0.95
    assert predicted.min() >= scores[:40].min()
    assert predicted.max() <= scores[:40].max()


def test_screening_finds_the_features_that_count() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 43))
    scores = features[:, 5] - features[:, 20] + 0.8 * features[:, 33] + 0.2 * random.normal(size=40)
    block = np.zeros((40, 0))
    screen, error = tune_screen(block, features, scores, split(np.arange(40), 10, 0))
    ridge = ScreenedRidge.fit(block, features, scores, screen)
    assert {5, 20, 33} <= set(np.flatnonzero(ridge.features).tolist())
    assert np.count_nonzero(ridge.features) <= 8
    assert error < 0.2 * scores.var()


def test_many_weak_views_of_one_cause_are_all_used() -> None:
    random = np.random.default_rng(0)
    cause = random.normal(size=40)
    features = cause[:, None] + 2.0 * random.normal(size=(40, 30))
    screen, _ = tune_screen(np.zeros((40, 0)), features, cause, split(np.arange(40), 10, 0))
    assert screen.count == ALL


def test_a_ridge_without_penalty_is_least_squares() -> None:
    random = np.random.default_rng(0)
    block, features = random.normal(size=(30, 2)), random.normal(size=(30, 3))
    scores = random.normal(size=30)
    ridge = ScreenedRidge.fit(
        block, features, scores, FeatureScreen(block=True, count=ALL, penalty=1e-9)
    )
    columns = np.hstack([block, features, np.ones((30, 1))])
    expected, *_ = np.linalg.lstsq(columns, scores)
    assert [*ridge.block, *ridge.features, ridge.intercept] == pytest.approx(expected.tolist())


def test_folds_keep_groups_together_and_hold_every_row_out_once() -> None:
    groups = group_numbers(["b", "a", "b", "c", "a", "d"])
    assert groups.tolist() == [1, 0, 1, 2, 0, 3]
    masks = split(groups, 3, seed=0)
    assert len(masks) == 3
    assert np.sum(masks, axis=0).tolist() == [1] * 6
    assert all(mask[0] == mask[2] and mask[1] == mask[4] for mask in masks)
    assert len(split(groups, 10, seed=0)) == 4
    assert any((a != b).any() for a, b in zip(masks, split(groups, 3, seed=1), strict=True))


def test_weights_follow_what_held_out_rows_say() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=100)
    held_out = np.stack([scores + 0.1 * random.normal(size=100), random.normal(size=100)], axis=1)
    weights = stacked_weights(held_out, scores)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9
    few = stacked_weights(held_out[:3], scores[:3])
    assert few[0] < weights[0]


def test_nothing_runs_away_and_measured_scores_are_left_alone() -> None:
    transform = RankTransform.of(np.array([0.0, 1.0, 2.0]))
    values = np.linspace(-100, 100, 2001)
    soft = transform.soft_clip(values)
    assert (np.diff(soft) > 0).all()
    assert soft[0] > -5
    assert soft[-1] < 7
    assert transform.soft_clip(np.array([0.0, 0.7, 2.0])).tolist() == [0.0, 0.7, 2.0]


@given(st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=1, max_size=30))
def test_a_place_and_its_score_tell_the_same(measured: list[float]) -> None:
    transform = RankTransform.of(np.array(measured))
    scores = np.linspace(-150, 150, 301)
    ranks = transform.to_ranks(scores)
    assert (np.diff(ranks) > 0).all()
    assert transform.to_scores(ranks) == pytest.approx(scores, abs=1e-6)
    assert (transform.to_ranks(np.array(measured)) < 1).all()


def test_a_gap_counts_no_more_than_its_place() -> None:
    transform = RankTransform.of(np.array([0.1, 0.2, 0.3, 0.9]))
    pooled = transform.pooled_ranks(np.array([[0.1, 0.9], [0.2, 0.3]]), np.array([0.5, 0.5]))
    assert pooled == pytest.approx([0.5, 0.5])


def test_outside_every_model_that_extrapolates_has_an_equal_say() -> None:
    even = RankTransform(scores=[0.0, 1.0], ranks=[0.0, 1.0], unit=1.0)
    blend = StackedEnsemble(weights=[0.2, 0.8], extrapolating=(True, False), transform=even)
    smooth, correction = np.array([[0.5, 0.1]] * 3), np.array([0.1] * 3)
    found = blend.combine(smooth, correction, np.array([0.0, 1.0, 0.5]))
    corrected = 0.2 * 0.5 + 0.8 * 0.1 + 0.1
    outside = (0.5 + corrected) / 2
    assert found.value == pytest.approx([corrected, outside, (corrected + outside) / 2])
    assert found.outer_variance == pytest.approx([0.0, 0.0121, 0.0121 / 2])
    assert found.inner_variance == pytest.approx([0.2 * 0.8 * 0.4**2] * 3)


def test_trees_are_the_same_every_time_and_few_for_few_rows() -> None:
    table = mixtures(60, 4)
    left = np.where(table.shares[:, 0] > 0.3, 1.0, 0.0)
    first, second = (ResidualTrees.fit(table, left, 50, seed=3) for _ in range(2))
    assert first.text == second.text
    assert first.text != ResidualTrees.fit(table, left, 50, seed=4).text
    assert np.corrcoef(first.predict(table), left)[0, 1] > 0.9
    assert max(rounds_to_try(24)) < max(rounds_to_try(100)) < max(rounds_to_try(512))


def test_a_new_process_reads_trees_alike() -> None:
    table = mixtures(60, 4)
    trees = ResidualTrees.fit(table, table.shares[:, 0], 50, seed=0)
    read = ResidualTrees.model_validate(json.loads(trees.model_dump_json()))
    assert (read.predict(table) == trees.predict(table)).all()


def test_amounts_are_scaled_by_their_logarithm() -> None:
    frame = pl.DataFrame(
        {"tokens": np.exp(np.linspace(0, 14, 30)), "level": np.linspace(-1, 1, 30)}
    )
    tokens, level = (
        next(c for c in Encoder.fit(frame).columns if c.name == n) for n in frame.columns
    )
    assert tokens.unit is not None
    assert level.unit is None
    table = Encoder.fit(frame).encode(pl.DataFrame({"tokens": [1e30, -5.0], "level": [0.0, 99.0]}))
    assert np.abs(table.features).max() < 10
    assert table.measured[0].max() > 10


def test_shares_are_normalised_and_unknown_ones_counted() -> None:
    frame = pl.DataFrame({"share.a": [0.5, 1.0], "share.b": [0.5, None], "share.never": [0.0, 0.0]})
    encoder = Encoder.fit(frame)
    assert encoder.sources == ("share.a", "share.b")
    table = encoder.encode(pl.DataFrame({"share.a": [2.0], "share.never": [1.0], "share.x": [1.0]}))
    assert table.shares.tolist() == [[0.5, 0.0]]
    assert table.unknown_source_share.tolist() == [0.5]


@pytest.mark.parametrize("count", [24, 100])
def test_few_rows_like_the_measured_are_outside_and_all_of_a_new_kind_are(count: int) -> None:
    rates = []
    for seed in range(10):
        table = mixtures(count + 200, 8, seed)
        support, _ = Support.fit(table.take(slice(count)), np.arange(count))
        rates.append((support.outside(table.take(slice(count, None))) > 0).mean())
    assert np.mean(rates) <= 0.10
    table = mixtures(count + 200, 8)
    little = table.take(table.shares[:, 0] <= 0.05)
    support, _ = Support.fit(little, np.arange(len(little)))
    much = support.outside(table.take(table.shares[:, 0] > 0.1))
    assert (much > 0).mean() >= 0.9


def test_a_group_is_no_neighbour_of_itself() -> None:
    table = mixtures(10, 4)
    twice = table.take(np.repeat(np.arange(10), 2))
    apart, _ = Support.fit(twice, np.repeat(np.arange(10), 2))
    together, _ = Support.fit(twice, np.arange(20))
    assert apart.distance_border > 0.01 > together.distance_border
