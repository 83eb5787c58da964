"""Every synthesis operator over the real small model in this process, a row each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import turns_of
from datachef.plugins.local_backend import LocalBackend

MODEL = {"backend": "local", "model": "smollm2", "max_tokens": 60}
PAGE = "The Seine is a river in France. It flows through Paris and ends in the sea."
ANSWER = {"op": "answer_question", "style": "concise", "max_tokens": 100}
STEPS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "scored": (PAGE, [{"op": "judge_score", "criterion": "complexity", "max_tokens": 150}]),
    "asked": (
        PAGE,
        [{"op": "generate_question", "kind": "factual"}, {**ANSWER, "document": "document"}],
    ),
    "translated back": (PAGE, [{"op": "back_translate"}]),
    "instructed": (
        "What is the capital of France?",
        [{"op": "self_instruct", "instructions": 1}, ANSWER],
    ),
}


@pytest.mark.usefixtures("smollm2")
@pytest.mark.parametrize("name", STEPS)
def test_rows_are_made_or_counted_and_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_corpus: Callable[..., Any], name: str
) -> None:
    monkeypatch.setenv("DATACHEF_PLUGINS", "assets,engines,local,sources,synthesis")
    text, steps = STEPS[name]
    pl.DataFrame({"text": [text]}).write_ndjson(tmp_path / "rows.jsonl")
    sources = {"s": {"path": str(tmp_path / "rows.jsonl"), "max_failed": 1.0}}
    written = [{**step, **{k: v for k, v in MODEL.items() if k not in step}} for step in steps]
    scored = {"schema": "text", "columns": ["judge_score"]}
    output = scored if name == "scored" else {"schema": "messages"}

    def run() -> Any:
        return make_corpus(sources, engine="inline", steps=written, output=output)

    made = run()
    assert made.rows.height == 1, made.rejects["detail"].to_list()
    if name == "scored":
        assert made.rows["judge_score"].is_between(0, 5).all()
        assert made.rows["text"].to_list() == [text]
    else:
        (turns,) = made.rows["messages"]
        assert [turn["role"] for turn in turns_of(turns)] == ["user", "assistant"]
        assert (turns_of(turns)[1]["content"] == text) == (name == "translated back")
    monkeypatch.setattr(LocalBackend, "complete", None)
    assert run().rows.equals(made.rows)
