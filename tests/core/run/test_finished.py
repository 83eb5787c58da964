"""A finished run, opened by its folder, tells what the run itself told."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from datachef.core import DatachefError, FinishedRun, RunError, run_recipe

ROWS = [{"text": "Whales are mammals that live in the sea."}, {"text": "Short."}]
RECIPE = """\
name: example
sources:
  pages: {path: rows.jsonl, max_failed: 0.5, licence: CC0-1.0}
  more: {path: more.jsonl}
mix: {op: weighted_mix, weights: {pages: 1, more: 1}, budget: {rows: 4}}
steps:
  - {op: length_filter, min_chars: 10}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    lines = [json.dumps(row) for row in ROWS]
    (place / "rows.jsonl").write_text("\n".join([*lines, '{"text": "cut'] * 2))
    (place / "more.jsonl").write_text('{"text": "Dolphins are small whales."}\n' * 3)
    (place / "recipe.yaml").write_text(RECIPE)
    return place


@pytest.mark.parametrize("format", ["parquet", "jsonl", "jsonl.zst"])
def test_what_the_run_told_is_read_again(folder: Path, format: str) -> None:
    told = run_recipe(
        folder / "recipe.yaml", folder / format, workers=1, engine="inline",
        overrides=[f"output.format={format}"], cache=folder / "cache",
    )  # fmt: skip
    run = FinishedRun.open(folder / format)
    untimed = [entry.to_data(timed=False) for entry in told.ledger]
    assert [entry.to_data(timed=False) for entry in run.ledger] == untimed
    assert run.shares == told.shares
    assert [str(warning) for warning in run.warnings] == [str(known) for known in told.warnings]
    assert run.recipe["steps"] == [{"op": "length_filter", "min_chars": 10}]
    assert run.corpus.collect().height == told.rows
    assert {"not_json", "too_few_chars"} <= set(run.rejects["reason"])
    assert run.rows_by_source("sources.pages") == {}
    by_source = run.rows_by_source("steps[0]")
    assert by_source.keys() == {"pages", "more"}
    assert sum(out for _, out in by_source.values()) == told.rows


def test_what_is_no_finished_run_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatachefError, match="holds no ledger"):
        FinishedRun.open(tmp_path / "nowhere")
    with pytest.raises(RunError):
        run_recipe(
            folder / "recipe.yaml", tmp_path / "out", workers=1, engine="inline",
            overrides=["steps[0].min_chars=1000"], cache=folder / "cache",
        )  # fmt: skip
    with pytest.raises(DatachefError) as failed:
        FinishedRun.open(tmp_path / "out.failed")
    assert failed.value.hint.startswith("this is the folder of a failed run, which has no corpus")


@pytest.mark.parametrize("content", [b"PAR1", None])
def test_damaged_rejects_are_an_error_for_people(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "ledger.json").write_text("[]")
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "rejects").mkdir()
    rejects = tmp_path / "rejects" / "rejects.parquet"
    if content is None:
        pl.DataFrame({"id": ["a"]}).write_parquet(rejects)
    else:
        rejects.write_bytes(content)
    with pytest.raises(DatachefError, match=r"rejects\.parquet (cannot be read|has no column)"):
        _ = FinishedRun.open(tmp_path).rejects
