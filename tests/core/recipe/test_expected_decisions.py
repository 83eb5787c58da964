"""What `chef plan` tells of decisions before they are made."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from datachef.core import Host, check_recipe, run_recipe
from datachef.core.recipe.expected import DecisionNeeds, expected_decisions

RECIPE = """
name: decided
sources:
  pages: {path: pages.jsonl, steps: [{op: exact_dedup}, {op: minhash_dedup, against: known}]}
  known: {path: known.jsonl}
mix: {op: weighted_mix, weights: {pages: 1}, budget: {rows: 500}}
steps: [{op: sample, rows: 100}]
"""


def needs(folder: Path) -> dict[str, DecisionNeeds]:
    host = Host()
    checked = check_recipe(folder / "recipe.yaml", host).passed()
    return {found.step: found for found in expected_decisions(checked, host.vocabulary)}


def write(folder: Path, rows: int) -> None:
    for name, count in (("pages", rows), ("known", 50)):
        lines = (json.dumps({"text": f"{name} {n} is about {n * 7919}"}) for n in range(count))
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "recipe.yaml").write_text(RECIPE)


def test_rows_are_those_that_reach_a_decision(tmp_path: Path) -> None:
    write(tmp_path, 1_000)
    found = needs(tmp_path)
    rows = {step: each.rows for step, each in found.items()}
    expected = {
        "sources.pages.steps[0]": 1_000,
        "sources.pages.steps[1]": 1_050,
        "mix": 1_000,
        "steps[0]": 500,
    }
    assert rows == pytest.approx(expected, rel=0.1)


def test_disk_and_memory_grow_with_the_rows_and_hold_the_summaries(tmp_path: Path) -> None:
    write(tmp_path, 1_000)
    small = needs(tmp_path)
    run_recipe(tmp_path / "recipe.yaml", tmp_path / "out", cache=tmp_path / "cache", host=Host())
    kept = sum(
        pl.read_parquet(file).estimated_size()
        for file in (tmp_path / "cache" / "partitions").glob("*/*.summary.parquet")
    )
    assert kept <= sum(each.disk for each in small.values()) <= 5 * kept
    write(tmp_path, 10_000)
    for step, large in needs(tmp_path).items():
        assert large.op == small[step].op
        if step != "steps[0]":
            assert large.disk > 5 * small[step].disk
            assert large.memory > 5 * small[step].memory
