"""A small model in this process answers synthesis and judges, always the same."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import (
    Host,
    LLMError,
    Request,
    Services,
    Task,
    asset_checksum,
    check_recipe,
)
from datachef.core.api import plan_recipe
from datachef.plugins.local_backend import LocalBackend, _loaded, _weights
from datachef.reward.verifier import Judge, Verdict, Verifier

FRANCE = (("user", "What is the capital of France? Answer in one sentence."),)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def backend(smollm2: Path) -> LocalBackend:
    return LocalBackend()


def test_it_answers_and_counts(backend: LocalBackend) -> None:
    answer = backend.complete(Request("smollm2", FRANCE, 40))
    assert answer.text == "The capital of France is Paris."
    assert (answer.finish_reason, answer.truncated, answer.completion_tokens) == ("stop", False, 8)
    cut = backend.complete(Request("smollm2", FRANCE, 3))
    assert cut.truncated
    assert answer.text.startswith(cut.text)


def test_an_answer_depends_on_its_request_alone(backend: LocalBackend) -> None:
    warm = Request("smollm2", FRANCE, 12, temperature=1.0, seed=3)
    first = backend.complete(warm)
    other = backend.complete(Request("smollm2", FRANCE, 12, temperature=1.0, seed=4))
    assert backend.complete(warm) == first
    _loaded.cache_clear()
    assert backend.complete(warm) == first
    assert other.text != first.text


def test_an_answer_keeps_to_its_schema(backend: LocalBackend) -> None:
    answer = backend.complete(Request("smollm2", FRANCE, 60, response_schema=SCHEMA))
    assert set(json.loads(answer.text)) == {"city"}


def test_a_request_that_cannot_be_answered_ends_nothing(backend: LocalBackend) -> None:
    with pytest.raises(LLMError, match="context size"):
        backend.complete(Request("smollm2", (("user", "word " * 9000),), 5))
    with pytest.raises(LLMError, match="unrecognized type"):
        backend.complete(Request("smollm2", FRANCE, 5, response_schema={"type": "nonsense"}))
    assert backend.complete(Request("smollm2", FRANCE, 2)).text


def test_nobody_else_can_ask_it(backend: LocalBackend) -> None:
    """llama.cpp listens on a port of this machine; without the key it answers nothing."""
    backend.complete(Request("smollm2", FRANCE, 1))
    address = _loaded(_weights("smollm2"), asset_checksum("smollm2")).listening_address
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}).encode()
    for path in ("/v1/chat/completions", "/completion", "/tokenize", "/props"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}{path}", body, timeout=60)  # noqa: S310 - as given


ROWS = [
    "Whales are mammals. They breathe air and live in the sea.",
    "The Seine is a river in France. It flows through Paris.",
]
ANSWER = {"backend": "local", "model": "smollm2", "max_tokens": 150}


@pytest.mark.usefixtures("smollm2")
def test_synthesis_without_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_corpus: Callable[..., Any]
) -> None:
    monkeypatch.setenv("DATACHEF_PLUGINS", "assets,engines,local,sources,synthesis")
    pl.DataFrame({"text": ROWS}).write_ndjson(tmp_path / "rows.jsonl")
    sources = {"s": {"path": str(tmp_path / "rows.jsonl"), "max_failed": 1.0}}
    rephrase = {"op": "rephrase_text", "style": "easy", **ANSWER, "max_tokens": 40}
    pairs = {"op": "generate_question_answer_pairs", "pairs": 1, **ANSWER}
    made = []
    for engine, step in (("inline", rephrase), ("local", rephrase), ("inline", pairs)):
        made.append(make_corpus(sources, engine=engine, steps=[step]))
        shutil.rmtree(tmp_path / "cache")  # the next one asks the model again
        assert made[-1].rows.height, made[-1].rejects["detail"].to_list()
        assert set(made[-1].rejects["reason"]) <= {"truncated_answer"}
    assert made[0].rows["text"].to_list() == made[1].rows["text"].to_list()
    assert made[0].rows["text"].to_list() != ROWS
    roles = [[turn["role"] for turn in row] for row in made[2].rows["messages"]]
    assert {tuple(row) for row in roles} == {("user", "assistant")}


@pytest.mark.usefixtures("smollm2")
def test_a_judge_without_a_server(tmp_path: Path) -> None:
    services = Services(Host(only=["local"]).named("datachef_llm_backends"), tmp_path)
    judge = Judge(model="smollm2", backend="local", max_tokens=120)
    task = Task.model_validate({"name": "t", "benchmark": {"path": "unread.jsonl"}})
    text = "Ann has 2 + 1 = 3 figs."
    rows = pl.DataFrame({"id": ["a"], "source": "s", "text": text, "weight": 1.0})
    verifier = Verifier([judge], services, task)
    result = verifier.verify(rows)
    verdicts = [row.verdicts[0] for row in result.rows]
    assert all(isinstance(verdict, Verdict) and verdict.reason for verdict in verdicts)
    assert verifier.verify(rows) == result


def test_a_recipe_that_lacks_the_model_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACHEF_ASSETS", str(tmp_path / "assets"))
    (tmp_path / "rows.jsonl").write_text('{"text": "a page about whales"}\n')
    recipe = tmp_path / "recipe.yaml"
    step = {"op": "rephrase_text", **ANSWER}
    sources = {"s": {"path": "rows.jsonl"}}
    recipe.write_text(json.dumps({"name": "t", "sources": sources, "steps": [step]}))
    (problem,) = check_recipe(recipe, Host()).problems
    assert (problem.code, problem.hint) == ("missing_model", "chef assets get smollm2")


def test_other_weights_under_the_same_name_run_a_step_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a page about whales"}\n')
    recipe = tmp_path / "recipe.yaml"
    step = {"op": "rephrase_text", **ANSWER}
    sources = {"s": {"path": "rows.jsonl"}}
    recipe.write_text(json.dumps({"name": "t", "sources": sources, "steps": [step]}))
    monkeypatch.setattr(LocalBackend, "problems", lambda model: ())
    keys = []
    for checksum in ("a", "a", "b"):
        monkeypatch.setattr(LocalBackend, "identity", lambda model, found=checksum: found)
        _, plan = plan_recipe(recipe, Host())
        keys.append(plan.final[0].key)
    assert keys[0] == keys[1] != keys[2]
