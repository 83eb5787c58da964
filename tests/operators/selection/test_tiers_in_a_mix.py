"""Tiers of quality under a source, and a mix by weights on top of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl

from datachef.core import document, run_recipe


def test_tiers_are_repeated_and_the_mix_keeps_its_weights(tmp_path: Path) -> None:
    for name, count in (("web", 400), ("books", 200)):
        rows = [{"text": f"{name} {i:03} tells of rivers", "score": i} for i in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    upsampling = {"op": "quality_upsampling", "by": "score", "epochs": [0, 0.5, 1, 3]}
    recipe = {
        "name": "tiers",
        "sources": {
            "web": {"path": "web.jsonl", "steps": [upsampling]},
            "books": {"path": "books.jsonl"},
        },
        "mix": {
            "op": "weighted_mix",
            "weights": {"web": 0.75, "books": 0.25},
            "budget": {"rows": 400},
        },
        "output": {"columns": ["score"]},
    }
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    report = run_recipe(
        tmp_path / "recipe.yaml", tmp_path / "corpus", engine="inline", workers=1,
        cache=tmp_path / "cache",
    )  # fmt: skip
    ledger = {e["path"]: e for e in json.loads((report.folder / "ledger.json").read_bytes())}
    step = ledger["sources.web.steps[0]"]
    assert step["rows_out"] == step["rows_in"] - step["dropped"]["tier_not_taken"] + step["created"]
    assert step["created"] == 200
    told = ledger["output"]["sources"]
    assert {name: (found["asked"], found["share"]) for name, found in told.items()} == {
        "web": (0.75, 0.75), "books": (0.25, 0.25),
    }  # fmt: skip
    assert "| web | 75.0% | 75.0% |" in (report.folder / "README.md").read_text()
    corpus = pl.concat(map(pl.read_parquet, sorted((report.folder / "data").glob("*.parquet"))))
    assert not corpus["id"].is_duplicated().any()
    tiers = Counter(score // 100 for score in corpus.filter(source="web")["score"])
    assert tiers[0] == 0
    assert tiers[1] < tiers[2] < tiers[3]
    sources = corpus["source"].to_list()
    assert 10 < sources[:100].count("books") < 40  # interleaved, and not in blocks
