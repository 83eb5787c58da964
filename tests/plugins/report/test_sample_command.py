"""`chef sample` shows what each step did with a few rows, and leaves the sampled corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import chef

from datachef.core import FinishedRun, document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe that drops, changes and cuts rows of 200."""
    rows = [f"page {n} \N{BROKEN BAR} " + "word " * (n % 7 + 1) for n in range(200)]
    lines = [json.dumps({"text": text}) + "\n" for text in rows]
    (tmp_path / "pages.jsonl").write_text("".join(lines))
    steps: list[dict[str, Any]] = [
        {"op": "normalize_whitespace"},
        {"op": "length_filter", "max_words": 5},
        {"op": "chunk_text", "max_size": 12, "unit": "characters"},
    ]
    recipe = {"name": "test", "sources": {"pages": {"path": "pages.jsonl", "steps": steps}}}
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    return tmp_path


def test_each_step_is_shown_with_what_it_did(folder: Path) -> None:
    shown = chef("sample", "recipe.yaml", "-n", "50", "--examples", "1", folder=folder).stdout
    run = FinishedRun.open(folder / "corpus" / "test.sample")
    length = run.ledger["sources.pages.steps[1]"]
    assert f"[1] length_filter: 50 rows in, {length.rows_out} kept" in shown
    assert f"dropped {length.dropped['too_many_words']}: too_many_words" in shown
    assert "length_words " in shown, "the signal that decided"
    assert "changed 50" in shown
    assert "word[- -]" in shown, "what went of a row"
    assert f"{run.ledger['sources.pages.steps[2]'].created} made" in shown
    assert "made of a sample of each source: 50 of 200 rows of pages" in shown
    assert shown.splitlines()[-1] == "corpus/test.sample"


def test_a_sample_of_which_nothing_is_left_shows_why(folder: Path) -> None:
    nothing = "sources.pages.steps[1].max_words=1"
    done = chef("sample", "recipe.yaml", "-n", "20", "--set", nothing, folder=folder)
    assert done.returncode == 4
    assert "length_filter: 20 rows in, 0 kept\n   dropped 20: too_many_words\n" in done.stdout
    assert "length_words " in done.stdout
    assert "error: the corpus is empty" in done.stderr
