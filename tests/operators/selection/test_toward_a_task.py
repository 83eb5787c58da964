"""A corpus selected toward a task is the same for any number of workers."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from datachef.core import Examples, document, run_recipe


def test_rows_are_selected_alike_by_one_worker_and_by_two(
    pool: pl.DataFrame, word_problems: Examples, tmp_path: Path
) -> None:
    names = pool["source"].unique(maintain_order=True).to_list()
    for name in names:
        pool.filter(source=name).select("text").write_ndjson(tmp_path / f"{name}.jsonl")
    prompts = [json.loads(line) for line in Path(word_problems.path).read_text().splitlines()]
    benchmark = [{"prompt": f"Of {n} cows one is sold. Left?", "answer": str(n)} for n in (3, 5)]
    for name, rows in {"examples": prompts, "benchmark": benchmark}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    examples = {"path": "examples.jsonl", "prompt": "question", "answer": "answer"}
    task = {"name": "sums", "benchmark": {"path": "benchmark.jsonl"}, "examples": examples}
    (tmp_path / "task.yaml").write_text(document.dump(task))
    recipe = {
        "name": "toward",
        "task": "task.yaml",
        "sources": {name: {"path": f"{name}.jsonl"} for name in names},
        "steps": [
            {"op": "task_ranking", "share": 0.5},
            {"op": "task_similarity", "share": 0.5, "keep_scores": True},
            {"op": "diverse_sample", "rows": 100, "compared_rows": 100},
            {"op": "top_selection", "by": "task_similarity", "rows": 60},
        ],
        "output": {"format": "jsonl", "columns": ["task_similarity"]},
    }
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    made = []
    for workers in (1, 2):
        folder = tmp_path / f"corpus-{workers}"
        cache = tmp_path / f"cache-{workers}"
        run_recipe(tmp_path / "recipe.yaml", folder, workers=workers, cache=cache)
        made.append([file.read_bytes() for file in sorted((folder / "data").iterdir())])
    assert made[0] == made[1]
    rows = [json.loads(line) for line in b"".join(made[0]).splitlines()]
    assert len(rows) == 60
    assert sum(row["source"] == "gsm8k_alpaca_format" for row in rows) >= 54
    assert min(row["task_similarity"] for row in rows) > 0.05
