"""A source that others are compared with: what copies its rows goes, and it is not written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Host, check_recipe, document, run_recipe
from datachef.core.run.report import Report
from datachef.reward.sampled_run import SampledRunner

HOST = Host()
OLD = ["An old page, known.", "Menu\nAnother old page.", "An old page, known."]
NEW = ["Menu\nA new page.", "an old page: known", "A new page!", "One more page."]
OTHER = ["ANOTHER OLD PAGE", "Some other page.", "one more page"]


def write(folder: Path, **sources: list[str]) -> None:
    for name, texts in sources.items():
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text(rows)


def run(folder: Path, recipe: dict[str, Any], workers: int = 0) -> tuple[Report, list[str]]:
    write(folder, old=OLD, new=NEW, other=OTHER)
    path = folder / "recipe.yaml"
    path.write_text(document.dump({"name": "compared", "rejects": {"keep": "all"}, **recipe}))
    engine = {"engine": "local", "workers": workers} if workers else {"engine": "inline"}
    report = run_recipe(path, folder / "out", host=HOST, cache=folder / "cache", **engine)
    corpus = pl.read_parquet(folder / "out" / "data" / "*.parquet")
    return report, corpus["text"].to_list()


EXACT = {"op": "exact_dedup", "normalize": "letters", "against": "old"}
LINES = {"op": "line_dedup", "against": "old"}


@pytest.mark.parametrize("workers", [0, 2])
def test_copies_of_another_source_go_and_it_is_not_written(tmp_path: Path, workers: int) -> None:
    sources = {
        "new": {"path": "new.jsonl", "steps": [LINES]},
        "old": {"path": "old.jsonl", "steps": [{"op": "length_filter", "min_chars": 1}]},
        "other": {"path": "other.jsonl"},
    }
    report, texts = run(tmp_path, {"sources": sources, "steps": [EXACT]}, workers)
    assert texts == ["A new page.", "One more page.", "ANOTHER OLD PAGE", "Some other page."]
    entries = {entry.path: entry for entry in report.ledger}
    assert entries["sources.old"].rows_in == 3
    assert entries["sources.new.steps[0]"].rows_in == 4
    assert entries["sources.new.steps[0]"].dropped == {"emptied": 2}
    assert entries["steps[0]"].rows_in == 5
    assert {share.source: share.rows for share in report.shares}["old"] == 0
    rejects = pl.read_parquet(tmp_path / "out" / "rejects" / "rejects.parquet")
    kept = dict(rejects.select("text", "detail").iter_rows())
    assert kept["an old page: known"].startswith("a copy of old/")
    assert kept["A new page!"].startswith("a copy of new/")


def test_a_mix_takes_nothing_of_it(tmp_path: Path) -> None:
    recipe = {
        "sources": {name: {"path": f"{name}.jsonl"} for name in ("old", "new", "other")},
        "mix": {"op": "weighted_mix", "budget": {"rows": 7}},
        "steps": [{"op": "simhash_dedup", "against": "old"}],
        "output": {"order": "source"},
    }
    report, texts = run(tmp_path, recipe)
    assert set(texts) <= {*NEW, *OTHER}
    assert "an old page: known" not in texts
    assert report.rows == len(texts)


def test_a_sample_of_a_recipe_is_compared_too(tmp_path: Path) -> None:
    recipe = {
        "sources": {name: {"path": f"{name}.jsonl"} for name in ("new", "old", "other")},
        "mix": {"op": "weighted_mix", "weights": {"new": 1, "other": 1}},
        "steps": [EXACT],
    }
    run(tmp_path, recipe)
    checked = check_recipe(tmp_path / "recipe.yaml", HOST).passed()
    sampled = SampledRunner(HOST, tmp_path / "sampled", rows=100).run(checked)
    assert "old" not in set(sampled.rows["source"])
    assert "an old page: known" not in sampled.rows["text"].to_list()


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    write(tmp_path, old=OLD, new=NEW)
    old, new = {"path": "old.jsonl"}, {"path": "new.jsonl"}

    def codes(sources: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
        path = tmp_path / "compared.yaml"
        path.write_text(document.dump({"name": "compared", "sources": sources, **more}))
        return [(p.code, p.path) for p in check_recipe(path, HOST).problems]

    steps = [{"op": "exact_dedup", "against": "odl"}]
    assert codes({"old": old, "new": new}, steps=steps) == [("unknown_source", "steps[0].against")]
    assert codes({"old": old}, steps=[EXACT]) == [("no_sources", "sources")]
    both = {"old": old | {"steps": [{"op": "exact_dedup", "against": "new"}]}, "new": new}
    assert ("reference_compares", "sources.old.steps[0].against") in codes(both, steps=[EXACT])
    mix = {"op": "weighted_mix", "weights": {"old": 1, "new": 1}}
    assert codes({"old": old, "new": new}, steps=[EXACT], mix=mix) == [
        ("unknown_source", "mix.weights.old")
    ]
