"""Features tell corpora apart in the direction in which they differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import BenchmarkItem
from datachef.core.assets.store import MissingAssetError
from datachef.core.recipe.resolving import read_task
from datachef.reward import embedding_similarity
from datachef.reward.embedding_similarity import drawn_by_weight
from datachef.reward.features import FeatureExtractor, describe_feature
from datachef.reward.sampled_run import SampledCorpus
from datachef.reward.target_similarity import TargetModel, entropy, similarity
from datachef.reward.text_measures import QUANTILES, TextCache, weighted_quantiles

RunSampled = Callable[..., SampledCorpus]
Mixture = Callable[..., dict[str, Any]]


@pytest.fixture
def meter(workspace: Path) -> FeatureExtractor:
    task = read_task(workspace / "task.yaml")
    return FeatureExtractor(task)


def test_what_resembles_the_task_scores_better_on_every_likeness(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor
) -> None:
    good = meter.extract(run_sampled(mixture({"good": 1})))
    both = meter.extract(run_sampled(mixture({"good": 1, "prose": 1})))
    prose = meter.extract(run_sampled(mixture({"prose": 1})))
    bits = "target.bits_per_byte"
    assert good[bits] < both[bits] < prose[bits]
    assert good["target.cosine"] > both["target.cosine"] > prose["target.cosine"]
    assert good["target.divergence"] < prose["target.divergence"]
    assert good["target.coverage"] > prose["target.coverage"]
    assert good["target.shape_overlap"] > prose["target.shape_overlap"]
    assert good["target.length_gap"] < prose["target.length_gap"]
    forms = [features["target.form_match"] for features in (good, both, prose)]
    assert forms == [1, 0, 0], "beside documents conversations are written as documents"


def test_amounts_are_those_of_the_whole_corpus(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor
) -> None:
    recipe = mixture({"good": 1, "prose": 1}, mix={"budget": {"tokens": 20_000}, "max_epochs": 2})
    features = meter.extract(run_sampled(recipe, rows=100))
    assert math.expm1(features["log_tokens"]) == pytest.approx(20_000, rel=0.05)
    assert features["share.good"] == pytest.approx(0.5, abs=0.05)
    assert features["source_entropy"] == pytest.approx(1, abs=0.02)
    assert features["sources"] == 2


def test_repeating_adds_tokens_but_no_different_ones(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor
) -> None:
    once = meter.extract(run_sampled(mixture({"good": 1})))
    many = meter.extract(run_sampled(mixture({"good": 1}, mix={"max_epochs": 10})))
    assert many["log_tokens"] > once["log_tokens"] + 2
    assert many["log_unique_tokens"] == pytest.approx(once["log_unique_tokens"])
    assert many["epochs"] == pytest.approx(10)
    assert many["target.bits_per_byte"] == pytest.approx(once["target.bits_per_byte"])


def test_a_small_part_of_a_source_tells_no_more_than_so_many_rows(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor, workspace: Path
) -> None:
    part = meter.extract(run_sampled(mixture({"good": 1}, mix={"budget": {"rows": 12}})))
    lines = (workspace / "good.jsonl").read_text().splitlines(keepends=True)
    (workspace / "good.jsonl").write_text("".join(lines[:12]))
    alone = meter.extract(run_sampled(mixture({"good": 1})))
    (workspace / "good.jsonl").write_text("".join(lines[:300]))
    many = meter.extract(run_sampled(mixture({"good": 1})))
    for name in ("target.bits_per_byte", "target.coverage", "gram_entropy", "template_share"):
        assert abs(part[name] - alone[name]) < 0.5 * abs(many[name] - alone[name]), name


def test_copies_and_templates_are_seen(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor, workspace: Path
) -> None:
    line = (workspace / "prose.jsonl").read_text().splitlines()[0]
    (workspace / "prose.jsonl").write_text(f"{line}\n" * 100)
    copied = meter.extract(run_sampled(mixture({"prose": 1})))
    assert copied["duplicate_share"] == pytest.approx(0.99)
    good = meter.extract(run_sampled(mixture({"good": 1})))
    assert good["duplicate_share"] < 0.1
    assert good["template_share"] > 0.3, "numbers alone tell these problems apart"


def test_every_feature_is_documented(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor
) -> None:
    features = meter.extract(run_sampled(mixture({"good": 1, "prose": 1})))
    assert all(describe_feature(name) for name in features)
    assert not any(math.isnan(value) for name, value in features.items() if name != "budget_share")


def test_measuring_is_deterministic_whatever_was_measured_before(
    run_sampled: RunSampled, mixture: Mixture, meter: FeatureExtractor, workspace: Path
) -> None:
    corpus = run_sampled(mixture({"good": 1, "prose": 1}))
    meter.extract(run_sampled(mixture({"prose": 1})))
    fresh = FeatureExtractor(read_task(workspace / "task.yaml"))
    assert meter.extract(corpus) == pytest.approx(fresh.extract(corpus), nan_ok=True, rel=1e-12)


def test_what_means_the_like_is_near_in_meaning(
    run_sampled: RunSampled,
    mixture: Mixture,
    workspace: Path,
    minilm: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ROWS", "EXAMPLES"):
        monkeypatch.setattr(embedding_similarity, name, 12)
    task = read_task(workspace / "task.yaml")
    meter = FeatureExtractor(task, encoder="minilm")
    good, prose = (meter.extract(run_sampled(mixture({name: 1}))) for name in ("good", "prose"))
    for name in ("target.embedding_similarity", "target.embedding_coverage"):
        assert good[name] > prose[name] + 0.2
    with pytest.raises(MissingAssetError, match="minilm2"):
        FeatureExtractor(task, encoder="minilm2")


def test_rows_are_drawn_by_weight_and_alike_ones_stay() -> None:
    texts = pl.DataFrame({"text": [f"row {n}" for n in range(2000)] + ["row 0"] * 3})
    weights = np.where(np.arange(texts.height) < 1000, 9.0, 1.0)
    places = drawn_by_weight(texts, weights, 300)
    assert len(set(places.tolist())) == 300
    assert np.mean(places < 1000) == pytest.approx(0.9, abs=0.05)
    fewer = weights * (np.arange(texts.height) % 10 > 0)
    again = set(drawn_by_weight(texts, fewer, 300).tolist())
    assert not any(place % 10 == 0 for place in again if place < 2000)
    assert len(again & set(places.tolist())) > 220


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3)), min_size=1, max_size=20))
def test_weighted_quantiles_are_those_of_repeated_rows(rows: list[tuple[float, int]]) -> None:
    if not any(weight for _, weight in rows):
        return
    values = np.array([[value] for value, _ in rows])
    repeated = np.sort([value for value, weight in rows for _ in range(weight)])
    expected = np.quantile(repeated, QUANTILES, method="inverted_cdf")
    found = weighted_quantiles(values, np.array([float(weight) for _, weight in rows]))
    assert found[0].tolist() == expected.tolist()


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6), st.lists(st.sampled_from("abcd")))
def test_a_text_cache_measures_each_text_once(first: list[str], second: list[str]) -> None:
    measured: list[str] = []

    def measure(texts: pl.DataFrame) -> list[str]:
        measured.extend(texts["text"])
        return list(texts["text"])

    cache: TextCache[list[str]] = TextCache(measure)
    for batch in (first, second):
        indices = cache.indices(pl.DataFrame({"text": batch}, schema={"text": pl.String}))
        known = [text for chunk in cache.chunks for text in chunk]
        assert [known[index] for index in indices] == batch
    assert sorted(measured) == sorted(set(first) | set(second))


def test_entropy_and_similarity_of_known_distributions() -> None:
    assert entropy(np.array([1.0, 1, 1, 1])) == 2
    assert entropy(np.zeros(3)) == 0
    counts = np.array([3.0, 1, 0])
    assert similarity(counts, counts * 5) == (pytest.approx(1), pytest.approx(0, abs=0.01))
    assert similarity(np.array([1.0, 0, 0]), np.array([0.0, 1, 0]))[0] == 0


def test_bits_per_byte_by_hand() -> None:
    """Of one answer "ab" and a corpus of n copies of it, every byte is seen n times out of n."""
    model = TargetModel([BenchmarkItem("q", "ab")])
    texts = pl.DataFrame({"question": ["q"], "answer": ["ab"]})
    counts = np.asarray(model.counts(texts).sum(axis=0)).ravel() * 1e9
    assert model.bits_per_byte(counts) == pytest.approx(0, abs=1e-6)
    assert model.bits_per_byte(counts * 0) == pytest.approx(8)
    assert model.coverage(counts) == 1
    other = pl.DataFrame({"question": ["q"], "answer": ["zz"]})
    assert model.coverage(np.asarray(model.counts(other).sum(axis=0)).ravel()) == 0
