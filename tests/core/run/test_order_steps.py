"""Steps that say in which order the corpus is written."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import check_recipe, document, run_recipe


def made(folder: Path, *, workers: int = 1, engine: str = "inline", **recipe: Any) -> list[str]:
    for name, count in (("a", 60), ("b", 40)):
        rows = (
            {"text": f"{name}{i:02}", "score": (i * 37) % count if i % 10 else None}
            for i in range(count)
        )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = folder / "recipe.yaml"
    sources = {name: {"path": f"{name}.jsonl"} for name in "ab"}
    written.write_text(document.dump({"name": "t", "sources": sources, **recipe}))
    report = run_recipe(
        written, folder / "corpus", engine=engine, workers=workers, cache=folder / f"c{workers}"
    )
    files = sorted((report.folder / "data").glob("*.parquet"))
    corpus = pl.concat(map(pl.read_parquet, files))
    assert set(corpus.columns) <= {"id", "source", "text", "score", "corpus_order"}
    assert corpus["text"].n_unique() == corpus.height
    return [f"{text} {score}" for text, score in corpus.select("text", "score").rows()]


OUTPUT = {"columns": ["score"]}


def scores(rows: list[str]) -> list[float]:
    return [float(row.split()[1]) for row in rows if not row.endswith("None")]


@pytest.mark.parametrize("mix", [None, {"op": "weighted_mix"}])
def test_a_curriculum_goes_from_low_to_high(mix: Any, tmp_path: Path) -> None:
    recipe = {"mix": mix} if mix else {}
    steps = [{"op": "curriculum_order", "by": "score"}]
    rows = made(tmp_path, steps=steps, output=OUTPUT, **recipe)
    assert len(rows) == 100
    assert scores(rows) == sorted(scores(rows))
    assert all(row.endswith("None") for row in rows[90:])
    steps[0]["order"] = "descending"
    rows = made(tmp_path, steps=steps, output=OUTPUT, **recipe)
    assert scores(rows) == sorted(scores(rows), reverse=True)
    assert all(row.endswith("None") for row in rows[90:])


def test_the_stages_of_a_curriculum_follow_and_are_shuffled(tmp_path: Path) -> None:
    steps = [{"op": "curriculum_order", "by": "score", "stages": 4}]
    rows = made(tmp_path, steps=steps, output=OUTPUT)
    parts = [scores(rows[start : start + 25]) for start in range(0, 100, 25)]
    assert all(max(low) <= min(high) for low, high in pairwise(parts))
    assert all(part != sorted(part) for part in parts)


def test_a_shuffled_corpus_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    steps = [{"op": "shuffle"}]
    rows = made(tmp_path, steps=steps, output=OUTPUT)
    assert rows == made(tmp_path, steps=steps, output=OUTPUT, workers=2, engine="local")
    assert rows != made(tmp_path, steps=steps, output=OUTPUT, seed=1)
    assert rows != sorted(rows)
    assert 15 < sum(row.startswith("a") for row in rows[:40]) < 35


def test_the_last_step_that_orders_counts_and_later_steps_may_drop(tmp_path: Path) -> None:
    steps = [
        {"op": "shuffle"}, {"op": "curriculum_order", "by": "score"}, {"op": "sample", "rows": 30},
    ]  # fmt: skip
    rows = made(tmp_path, steps=steps, output={"columns": ["score", "corpus_order"]})
    assert len(rows) == 30
    assert scores(rows) == sorted(scores(rows))


@pytest.mark.parametrize(
    ("recipe", "hint"),
    [
        ({"steps": [{"op": "shuffle"}], "output": {"order": "source"}}, "leave out output.order"),
        ({"source_steps": [{"op": "shuffle"}]}, "write it under the recipe's steps"),
    ],
)
def test_an_order_that_is_not_seen_is_told(recipe: Any, hint: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    source = {"path": "a.jsonl", "steps": recipe.pop("source_steps", [])}
    written = tmp_path / "recipe.yaml"
    written.write_text(document.dump({"name": "t", "sources": {"a": source}, **recipe}))
    checked = check_recipe(written)
    assert not checked.problems
    assert [(w.code, w.hint) for w in checked.warnings] == [("order_ignored", hint)]
