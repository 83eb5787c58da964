"""What `chef plan` tells of calls of language models before they are made, and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, run_recipe
from datachef.core.cli import checking
from datachef.core.cli.state import set_host

RECIPE = """
name: asked
sources:
  pages:
    path: pages.jsonl
    steps: [{op: generate_question_answer_pairs, model: tiny, pairs: 2, max_tokens: 50}]
steps:
  - op: rephrase_text
    model: tiny
    prompt: "Again, please: {{ text }}"
    max_tokens: 30
    budget_tokens: 900
output: {schema: text}
"""


@pytest.fixture
def planned(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Any]:
    def plan(*, as_json: bool) -> Any:
        set_host(Host())
        capsysbinary.readouterr()
        checking.plan(tmp_path / "recipe.yaml", cache=tmp_path / "cache", as_json=as_json)
        said = capsysbinary.readouterr().out.decode()
        return json.loads(said)["result"]["language_models"] if as_json else said

    return plan


def test_calls_and_tokens_are_estimated_and_those_made_are_not_told(
    tmp_path: Path, llm_server: Any, monkeypatch: pytest.MonkeyPatch, planned: Callable[..., Any]
) -> None:
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    monkeypatch.setenv("DATACHEF_LLM_PRICES", "tiny=1/10")
    rows = [json.dumps({"text": f"A page of forty characters, number {n:03}."}) for n in range(10)]
    (tmp_path / "pages.jsonl").write_text("\n".join(rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    pairs, again = planned(as_json=True)
    assert (pairs["step"], pairs["op"]) == (
        "sources.pages.steps[0]",
        "generate_question_answer_pairs",
    )
    assert (pairs["calls"], pairs["answer_tokens"], pairs["budget_tokens"]) == (10, 500, None)
    assert (again["calls"], again["answer_tokens"], again["budget_tokens"]) == (20, 600, 900)
    assert 20 * 16 <= again["prompt_tokens"] <= 20 * 18, "row and template"
    assert pairs["cost"] == pytest.approx((pairs["prompt_tokens"] + 500 * 10) / 1_000_000)
    told = planned(as_json=False)
    assert "up to 20 calls of tiny (openai)" in told
    assert f"costs at most about {again['cost']:.4f}" in told
    assert llm_server.calls == []

    def answer(prompt: str) -> str:
        found = [{"question": f"{prompt[-6:]} {n}?", "answer": "so"} for n in "ab"]
        return json.dumps({"pairs": found}) if "Document" in prompt else "said again"

    llm_server.answer = answer
    run_recipe(
        tmp_path / "recipe.yaml", tmp_path / "out", engine="inline", cache=tmp_path / "cache"
    )
    sent = [
        len(c["messages"][0]["content"]) // 4 for c in llm_server.calls if c["max_tokens"] == 50
    ]
    assert sum(sent) == pytest.approx(pairs["prompt_tokens"], rel=0.2)
    assert planned(as_json=True) == []
