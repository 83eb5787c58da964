"""Comparisons on numbers whose answers are known."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datachef.core import DatachefError, MissingPackageError

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "policy"
Compare = Callable[..., Any]

RUNS = {
    "random": [[0.1, 0.2, 0.1], [0.4, 0.3, 0.1], [0.3, 0.1, 0.6]],
    "tpe": [[0.1, 0.7, 0.2]],
    "sources": [[0.5, -1.5], [0.5, -1.5]],
}


@pytest.fixture(scope="module")
def compare() -> Iterator[Compare]:
    """`compare` of the benchmark, imported as its scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("comparison").compare


def test_the_best_so_far_its_mean_and_its_regret(compare: Compare) -> None:
    found = compare(RUNS, [2, 3])
    assert found.best == 0.7
    assert [(row.calls, row.method) for row in found.rows] == [
        (2, "tpe"), (2, "sources"), (2, "random"), (3, "tpe"), (3, "sources"), (3, "random"),
    ]  # fmt: skip
    first, last = found.rows[2], found.rows[5]
    assert (first.mean, last.mean) == pytest.approx((0.3, 0.4))
    assert last.regret == pytest.approx(0.3)
    assert (last.runs, last.spent) == (3, 3)


def test_the_interval_is_student_t(compare: Compare) -> None:
    row = next(row for row in compare(RUNS).rows if row.method == "random")
    # The values 0.2, 0.4 and 0.6, and the t table at 0.975 with two degrees of freedom.
    half = 4.302653 * 0.2 / math.sqrt(3)
    assert row.interval == pytest.approx((0.4 - half, 0.4 + half))


def test_one_run_has_no_interval_and_equal_runs_an_empty_one(compare: Compare) -> None:
    rows = {row.method: row for row in compare(RUNS).rows}
    assert rows["tpe"].interval is None
    assert rows["sources"].interval == (0.5, 0.5)


def test_what_ran_out_keeps_its_best_and_says_so(compare: Compare) -> None:
    row = next(row for row in compare(RUNS).rows if row.method == "sources")
    assert (row.calls, row.spent, row.mean) == (3, 2, 0.5)


def test_the_best_of_any_method_is_of_as_many_calls_as_are_compared(compare: Compare) -> None:
    assert compare(RUNS, [1]).best == 0.5


def test_markdown_tells_what_the_rows_tell(compare: Compare) -> None:
    found = compare({**RUNS, "a|b": [[0.0]]})
    header, rule, *lines = found.to_markdown().splitlines()
    assert header.count("|") == rule.count("|") == 7
    cells = [
        [cell.strip() for cell in line.replace(r"\|", "/").strip("|").split("|")] for line in lines
    ]
    for row, (name, calls, runs, mean, interval, regret) in zip(found.rows, cells, strict=True):
        assert name == row.method.replace("|", "/")
        assert (int(runs), float(mean)) == (row.runs, round(row.mean, 4))
        assert float(regret) == round(row.regret, 4)
        expected = row.interval and [round(bound, 4) for bound in row.interval]
        told = None if interval == "one run" else [float(bound) for bound in interval.split(" to ")]
        assert told == expected
        assert calls == ("3" if row.spent == 3 else f"{row.spent} of 3")


def test_plain_data_is_json(compare: Compare) -> None:
    data = compare(RUNS).to_data()
    assert json.loads(json.dumps(data)) == data
    assert data["rows"][0] == {
        "method": "tpe",
        "calls": 3,
        "spent": 3,
        "runs": 1,
        "mean": 0.7,
        "interval": None,
        "regret": 0.0,
    }


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({}, "no runs"),
        ({"tpe": []}, "have no calls"),
        ({"tpe": [[]]}, "have 0 calls"),
        ({"tpe": [[1.0], [1.0, 2.0]]}, "have 1 and 2 calls"),
    ],
)
def test_what_cannot_be_compared(
    compare: Compare, runs: dict[str, list[list[float]]], said: str
) -> None:
    with pytest.raises(DatachefError, match=said):
        compare(runs)


def test_counts_of_calls_begin_at_one(compare: Compare) -> None:
    with pytest.raises(DatachefError, match="after 0 calls"):
        compare(RUNS, [0, 1])


def test_intervals_need_scipy_and_single_runs_do_not(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert compare({"tpe": RUNS["tpe"]}).rows
    with pytest.raises(MissingPackageError):
        compare(RUNS)
