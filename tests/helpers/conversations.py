"""Turns of conversations, with a call of a tool and what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]

CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "n": 2}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "q"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "content": "rain"}
ANSWERED = {"role": "assistant", "content": "a"}
USED = [ASKED, CALLED, TOLD, ANSWERED]


def say(role: str, content: Any, **more: Any) -> Row:
    return {"role": role, "content": content, **more}


def calling(**call: Any) -> list[Row]:
    return [ASKED, say("assistant", None, **call), TOLD, ANSWERED]


@pytest.fixture
def written(make_corpus: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs rows through a recipe that writes conversations as JSON lines."""

    def run(*rows: Row, format: Any = None, max_failed: float = 0.1, **recipe: Any) -> Any:
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        source = {"path": "a.jsonl", "max_failed": max_failed}
        output = {"format": "jsonl", "schema": "messages"} | recipe.pop("output", {})
        sources = {"s": source | ({"format": format} if format else {})}
        result = make_corpus(sources, output=output, **recipe)
        lines = (result.report.folder / "data").glob("*.jsonl")
        return result, [json.loads(line) for f in lines for line in f.read_text().splitlines()]

    return run
