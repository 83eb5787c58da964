"""A recipe runs on a sample of each source: scaled to it, marked as such, apart from the corpus."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Host, RunError, document, run_recipe
from datachef.core.api import plan_recipe
from datachef.core.run.changes import changes
from datachef.core.run.file_store import FileStore
from datachef.core.run.report import Report
from datachef.core.system.folder import LocalFolder

Run = Callable[..., Report]


@pytest.fixture
def run(tmp_path: Path, write_rows: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a recipe over 400 rows of `large` and 50 of `small`, inline, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,mixing,selection,filters")
    write_rows("large.jsonl", [f"large row {n:03}" for n in range(400)])
    write_rows("small.jsonl", [f"small row {n:03}" for n in range(50)])
    sources = {name: {"path": f"{name}.jsonl"} for name in ("large", "small")}

    def run(output: Path | None = None, sample: int | None = None, **recipe: Any) -> Report:
        file = tmp_path / "recipe.yaml"
        file.write_text(document.dump({"name": "test", "sources": sources, **recipe}))
        return run_recipe(file, output, host=Host(), engine="inline", sample=sample)

    return run


MIX = {
    "op": "weighted_mix", "weights": {"large": 1, "small": 1}, "budget": {"rows": 300},
    "shortage": "repeat", "max_epochs": 3,
}  # fmt: skip


def rows_of(report: Report) -> pl.DataFrame:
    return pl.read_parquet(report.folder / "data" / "*.parquet")


def test_a_sample_keeps_the_shares_repeats_nothing_and_says_what_it_is(
    run: Run, tmp_path: Path
) -> None:
    report = run(sample=40, mix=MIX)
    rows = rows_of(report)
    assert report.folder == tmp_path / "corpus" / "test.sample"
    assert Counter(rows["source"]) == {"large": 40, "small": 40}
    assert rows["text"].is_unique().all()
    manifest = json.loads((report.folder / "manifest.json").read_bytes())
    assert manifest["samples"]["large"] == {"rows": 40, "available": 400, "misfits": 0}
    assert manifest["recipe"]["mix"] == MIX, "the recipe as it is written"
    assert [part["name"] for part in manifest["inputs"]["small"]["partitions"]] == ["small.jsonl"]
    assert [problem.code for problem in report.warnings] == ["sampled"]
    assert "40 of 400 rows of large" in (report.folder / "README.md").read_text()


def test_samples_that_are_the_whole_sources_give_a_corpus_of_the_same_size(run: Run) -> None:
    whole, sampled = rows_of(run(mix=MIX)), rows_of(run(sample=1_000, mix=MIX))
    assert Counter(whole["source"]) == Counter(sampled["source"]) == {"large": 150, "small": 150}


def test_numbers_of_rows_of_the_corpus_are_scaled(run: Run) -> None:
    report = run(sample=40, steps=[{"op": "sample", "rows": 90}])
    assert report.ledger["steps[0]"].rows_out == 16, "90 of 450, and of these 80"


def test_a_sample_is_not_the_last_run_of_the_recipe(run: Run, tmp_path: Path) -> None:
    run(steps=[{"op": "length_filter", "min_chars": 2}])
    run(sample=10, steps=[{"op": "length_filter", "min_chars": 2}])
    checked, plan = plan_recipe(tmp_path / "recipe.yaml", Host())
    assert changes(FileStore(LocalFolder(tmp_path / ".datachef")), checked, plan) == {}


def test_a_sample_does_not_replace_what_it_is_drawn_from(run: Run, tmp_path: Path) -> None:
    made = run(tmp_path / "made")
    sources = {"made": {"path": str(made.folder / "data" / "*.parquet")}}
    with pytest.raises(RunError, match=r"and the input .* would lie one"):
        run(made.folder, sample=10, sources=sources)


def test_rows_that_do_not_fit_the_format_are_told(
    run: Run, write_rows: Callable[..., Path]
) -> None:
    file = write_rows("odd.jsonl", [f"row {n}" for n in range(300)])
    file.write_bytes(file.read_bytes() + b"\xff\n" * 3)
    report = run(sample=100, sources={"odd": {"path": "odd.jsonl"}})
    assert "(1.0% of its rows do not fit its format)" in report.warnings[0].message
