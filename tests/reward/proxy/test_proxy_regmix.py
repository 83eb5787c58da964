"""The proxy on the published runs of RegMix: it keeps what the benchmark promises."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from datachef.reward.proxy.proxy import Proxy
from datachef.reward.proxy.validation import rank_correlation


@pytest.fixture(scope="module")
def regmix() -> ModuleType:
    file = Path(__file__).parents[3] / "benchmarks" / "regmix.py"
    spec = importlib.util.spec_from_file_location("regmix_benchmark", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark(regmix: ModuleType, shared_data: Path) -> Any:
    return regmix.Benchmark(shared_data / "regmix")


def test_thirty_two_runs_are_enough_to_rank_mixtures(benchmark: Any) -> None:
    found = []
    for source, train, test in benchmark.shifts()["32 runs"][:3]:
        proxy = Proxy.fit(train.shares, train.score(source))
        predicted = np.array([one.value for one in proxy.predict(test.shares)])
        found.append(rank_correlation(predicted, test.score(source)))
    assert np.mean(found) > 0.90


def test_beyond_what_was_seen_it_says_so_and_keeps_its_head(benchmark: Any) -> None:
    # 60 of the runs with little of the source, so that the test is quick.
    source, seen, unseen = benchmark.beyond("pile_cc", 0.05)
    train = seen.take(np.arange(0, len(seen.shares), 5))
    found = Proxy.fit(train.shares, train.score(source)).predict(unseen.shares)
    measured = unseen.score(source)
    values = np.array([one.value for one in found])
    assert np.mean([one.off_support for one in found]) >= 0.9
    assert rank_correlation(values, measured) >= 0.85
    pessimistic = np.array([one.value - one.uncertainty for one in found])
    assert rank_correlation(pessimistic, measured) > 0.5
    missed_by_the_mean = np.abs(train.score(source).mean() - measured).mean()
    assert np.abs(values - measured).mean() < missed_by_the_mean / 2


@pytest.mark.slow
def test_every_bar_of_the_benchmark_is_cleared(regmix: ModuleType, benchmark: Any) -> None:
    found = benchmark.figures(regmix.ours)
    assert {name: value for name, value in found.items() if value < regmix.BARS[name]} == {}
    doubt = {name: value for name, (value, _) in benchmark.doubt().items()}
    assert 0.85 <= doubt["coverage of nominal 90%, 512 runs"] <= 0.96
    assert 0.85 <= doubt["coverage of nominal 90%, 32 runs"] <= 0.96
    assert doubt["flagged off support, in distribution"] <= 0.10
    assert doubt["flagged off support, pile_cc above 0.05"] >= 0.90
