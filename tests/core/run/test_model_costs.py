"""What language models cost: the answers that were used are in the ledger, what a run asked for
them is told beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from datachef.core import DatachefError, FinishedRun, Host, check_recipe, document, run_recipe
from datachef.core.cli import build
from datachef.core.cli.state import set_host
from datachef.core.run.report import Report
from datachef.plugins.report.page import page

COUNTED = {"answers": 3, "prompt_tokens": 3 * 7, "answer_tokens": 3 * 5}


@pytest.fixture
def recipe(tmp_path: Path, llm_server: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    monkeypatch.setenv("DATACHEF_LLM_PRICES", "tiny=2/10, large=20/100")
    rows = "".join(json.dumps({"text": f"A whale, number {n}."}) + "\n" for n in range(3))
    (tmp_path / "rows.jsonl").write_text(rows)
    return written(tmp_path, {"op": "rephrase_text", "model": "tiny"})


def written(folder: Path, *steps: dict[str, Any]) -> Path:
    data = {"name": "sea", "sources": {"sea": {"path": "rows.jsonl"}}, "steps": list(steps)}
    (folder / "recipe.yaml").write_text(document.dump(data))
    return folder / "recipe.yaml"


def run(recipe: Path, output: str = "corpus") -> Report:
    cache = recipe.parent / "cache"
    return run_recipe(recipe, recipe.parent / output, engine="inline", cache=cache)


def test_answers_are_counted_and_what_was_asked_is_told(recipe: Path, llm_server: Any) -> None:
    llm_server.script.append(503)  # asked again
    first = run(recipe)
    asked = first.language_models()["steps[0]"]
    tokens = {"prompt_tokens": 21, "answer_tokens": 15, "cost": (21 * 2 + 15 * 10) / 1_000_000}
    model = {"op": "rephrase_text", "model": "tiny"}
    assert asked == {**model, "requests": 3, "repeated": 1, "kept": 0, **tokens}
    assert first.ledger["steps[0]"].counted == COUNTED
    # Another step before it drops nothing: the same questions, whose answers are there.
    written(
        recipe.parent,
        {"op": "length_filter", "min_chars": 1},
        {"op": "rephrase_text", "model": "tiny"},
    )
    again = run(recipe, "again")
    none = dict.fromkeys((*tokens, "requests", "repeated"), 0)
    assert again.language_models() == {"steps[1]": {**model, **none, "kept": 3}}
    assert again.ledger["steps[1]"].counted == COUNTED
    assert len(llm_server.calls) == 4


def test_terminal_and_page_show_it(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(recipe)
    monkeypatch.delenv("DATACHEF_LLM_PRICES")  # what it cost then
    host = Host()
    set_host(host)
    folder = recipe.parent / "corpus"
    shown = CliRunner().invoke(build(host), ["report", str(folder)]).output
    assert "answer_tokens" in shown
    assert "0.0002" in shown
    html = page(FinishedRun.open(folder), host.vocabulary)
    assert '<td class="n" data-is="cost">0.000192</td>' in html
    assert "effort" not in (folder / "ledger.json").read_text()


def test_without_prices_there_is_no_cost(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACHEF_LLM_PRICES", "large=20/100")
    assert "cost" not in run(recipe).language_models()["steps[0]"]


@pytest.mark.parametrize("prices", ["tiny", "tiny=2", "tiny=-1/2", "=1/2", "tiny=1/2/3"])
def test_what_is_no_price_is_told_before_anything_is_asked(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, prices: str
) -> None:
    monkeypatch.setenv("DATACHEF_LLM_PRICES", prices)
    with pytest.raises(DatachefError, match="DATACHEF_LLM_PRICES") as told:
        check_recipe(recipe, Host())
    assert "qwen3-8b=0.05/0.2" in told.value.hint
