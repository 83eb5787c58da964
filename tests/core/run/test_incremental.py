"""What is done already is not done again: re-runs, edits, shared prefixes, passing failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Host, run_recipe
from datachef.core.run.report import Report

WriteRows = Callable[..., Path]
Run = Callable[..., Report]

RECIPE = """
name: incremental
sources:
  pages:
    path: "*.jsonl"
    steps:
      - op: slow_length_filter
        max_chars: {max_chars}
        seconds: 0
steps:
  - op: first_of_each_text
"""


@pytest.fixture
def run(tmp_path: Path, host: Host, write_rows: WriteRows) -> Run:
    write_rows("a.jsonl", [f"text {i}" * (i % 7) for i in range(50)])
    write_rows("b.jsonl", [f"other {i}" * (i % 5) for i in range(50)])
    recipe = tmp_path / "recipe.yaml"

    def run_it(max_chars: int = 20, **options: Any) -> Report:
        recipe.write_text(RECIPE.format(max_chars=max_chars))
        return run_recipe(
            recipe,
            tmp_path / "out",
            host=host,
            engine="inline",
            cache=tmp_path / "cache",
            **options,
        )

    return run_it


def test_a_second_run_does_nothing(run: Run) -> None:
    first, second = run(), run()
    assert (first.partitions, first.partitions_cached) == (5, 0)
    assert second.partitions_cached == second.partitions == 5
    assert second.ledger["output"].rows_out == first.ledger["output"].rows_out


def test_a_changed_threshold_decides_anew_without_measuring(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    loose = run(max_chars=1000)
    monkeypatch.setattr("datachef.core.run.pipeline.measure", refuse)
    strict = run(max_chars=20)
    assert strict.partitions_cached == 0
    assert 0 < strict.rows < loose.rows


def test_an_appended_step_uses_all_before_it(run: Run, tmp_path: Path) -> None:
    run()
    text = (tmp_path / "recipe.yaml").read_text()
    longer = tmp_path / "longer.yaml"
    longer.write_text(text + "  - op: slow_length_filter\n    seconds: 0\n")
    operators = str(Path(__file__).parent / "crashing_operators.py")
    report = run_recipe(
        longer,
        tmp_path / "longer",
        host=Host([operators]),
        engine="inline",
        cache=tmp_path / "cache",
    )
    assert report.partitions_cached == 3  # both partitions before the decision, and the decision


def test_a_changed_file_alone_is_read_again(run: Run, write_rows: WriteRows) -> None:
    run()
    write_rows("b.jsonl", ["quite another text"])
    assert run().partitions_cached == 1


def test_rows_that_failed_for_now_are_tried_again(
    tmp_path: Path, host: Host, write_rows: WriteRows, llm_server: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    monkeypatch.setenv("DATACHEF_LLM_API_KEY", "none")
    monkeypatch.setattr("time.sleep", lambda _: None)
    write_rows("a.jsonl", ["first text", "second text", "third text"])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: again\nsources:\n  pages: {path: a.jsonl, max_failed: 1.0}\n"
        "steps:\n  - op: rephrase_text\n    model: tiny\n    max_concurrency: 1\n"
    )

    def run() -> Report:
        out, cache = tmp_path / "out", tmp_path / "cache"
        return run_recipe(recipe, out, host=host, engine="inline", cache=cache)

    def answer(prompt: str) -> str:
        return "a rewritten text"

    llm_server.answer = answer
    llm_server.script.extend([400])
    first = run()
    assert first.ledger["steps[0]"].failed == {"llm_error": 1}
    asked = len(llm_server.calls)
    second = run()
    assert not second.ledger["steps[0]"].failed
    assert second.rows == 3
    assert len(llm_server.calls) == asked + 1, "answers that were there are not asked for again"
    third = run()
    assert third.partitions_cached == third.partitions
    assert len(llm_server.calls) == asked + 1
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["operators"]


def test_fields_of_the_data_may_have_any_name(tmp_path: Path, host: Host) -> None:
    names = ("reason", "copies", "detail", "_row", "_words", "number", "tokens", "step")
    rows = [{"text": text, **dict.fromkeys(names, "mine")} for text in ["a", "b", "a", "c"]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: names\nsources:\n  pages: {path: a.jsonl}\n"
        "mix: {op: weighted_mix, weights: {pages: 1}, budget: {rows: 5}, max_epochs: 2}\n"
        "steps:\n  - op: first_of_each_text\n  - op: gopher_quality_filter\n    min_words: 0\n"
        "    min_mean_word_length: 0\n    min_stop_words: 0\n"
        f"output: {{columns: [{', '.join(names[:-2])}, original_tokens]}}\n"
    )
    cache = tmp_path / "cache"
    report = run_recipe(recipe, tmp_path / "out", host=host, engine="inline", cache=cache)
    assert report.ledger["mix"].rows_out == 5
    assert report.ledger["steps[0]"].dropped == {"copy": 2}
    written = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert sorted(written["text"]) == ["a", "b", "c"]
    for name in (*names[:-2], "original_tokens"):
        assert set(written[name]) == {"mine"}
