from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import RecipeError

MakeCorpus = Callable[..., Any]


def pair(prompt: str, completion: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


ALPACA = {"instruction": "do", "input": "this", "output": "done"}
SHARED = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
NESTED = {"q": {"stem": "why", "n": 3}, "a": "so", "a.b": "dotted"}

FORMATS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "text": ({"text": "a"}, None, "a"),
    "content": ({"content": "a"}, None, "a"),
    "another field": ({"body": "a", "text": "b"}, {"text": "body"}, "a"),
    "composed": ({"body": "a", "n": 2}, {"text": "{body} has {n}"}, "a has 2"),
    "dotted": (NESTED, {"text": "q.stem"}, "why"),
    "a name with a dot": (NESTED, {"text": "a.b"}, "dotted"),
    "an item of a list": ({"q": [{"s": "x"}, {"s": "y"}]}, {"text": "{q.1.s} {q.0.s}"}, "y x"),
    "dotted in a template": (NESTED, {"text": "{q.stem}: {q.n}"}, "why: 3"),
    "messages": ({"messages": pair("q", "a")}, None, pair("q", "a")),
    "messages by another name": (
        {"turns": [{"who": "human", "says": "q"}, {"who": "bot", "says": "a"}]},
        {"messages": "turns", "role": "who", "content": "says"},
        pair("q", "a"),
    ),
    "more in a turn": (
        {"messages": [{"role": "user", "content": "q", "name": "x", "weight": 0}, *pair("q", "a")]},
        None,
        [
            {"role": "user", "content": "q", "name": "x", "weight": "0"},
            *[turn | {"name": None, "weight": None} for turn in pair("q", "a")],
        ],
    ),
    "alpaca": (ALPACA, None, pair("do\n\nthis", "done")),
    "alpaca by name": (ALPACA | {"text": "x"}, "alpaca", pair("do\n\nthis", "done")),
    "alpaca, blank input": (ALPACA | {"input": " "}, None, pair("do", "done")),
    "alpaca, null input": (ALPACA | {"input": None}, None, pair("do", "done")),
    "alpaca, no input": ({"instruction": "do", "output": "done"}, None, pair("do", "done")),
    "sharegpt": (SHARED, None, pair("q", "a")),
    "roles of other makers": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "agent", "value": "a"}]},
        None,
        pair("q", "a"),
    ),
    "sharegpt by another name": (
        {"chat": SHARED["conversations"]},
        {"conversations": "chat"},
        pair("q", "a"),
    ),
    "prompt and completion": ({"prompt": "q", "completion": "a"}, None, pair("q", "a")),
    "prompt and response": ({"prompt": "q", "response": "a"}, None, pair("q", "a")),
    "question and answer": ({"question": "q", "answer": "a"}, None, pair("q", "a")),
    "any names": ({"Frage": "q", "L": 7}, {"prompt": "Frage", "completion": "L"}, pair("q", "7")),
    "templates": (
        {"body": "b", "question": "q", "answer": {"value": 1.5}},
        {"prompt": "{body} {question}", "completion": "answer.value"},
        pair("b q", "1.5"),
    ),
    "system": (
        {"s": "be kind", "prompt": "q", "completion": "a"},
        {"prompt": "prompt", "completion": "completion", "system": "s"},
        [{"role": "system", "content": "be kind"}, *pair("q", "a")],
    ),
    "nothing is evaluated": (
        {"a": "{b} {a.__class__} %s $b", "b": "x"},
        {"text": "{a}"},
        "{b} {a.__class__} %s $b",
    ),
}


@pytest.mark.parametrize(("row", "row_format", "content"), FORMATS.values(), ids=FORMATS)
def test_what_a_row_becomes(
    make_corpus: MakeCorpus, tmp_path: Path, row: dict[str, Any], row_format: Any, content: Any
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    source = {"path": "a.jsonl"} | ({"format": row_format} if row_format else {})
    rows = make_corpus({"s": source}).rows
    assert rows["text" if isinstance(content, str) else "messages"].to_list() == [content]


@pytest.mark.parametrize(
    ("row", "row_format", "code"),
    [
        ({"alpha": "x"}, None, "unclear_format"),
        ({"question": "x"}, {"text": "qestion"}, "format_mismatch"),
        ({"text": ["a"]}, {"text": "text.1"}, "format_mismatch"),
        ({"text": "abc"}, {"text": "text.0"}, "format_mismatch"),
        ({"messages": "not a list"}, None, "format_mismatch"),
        ({"messages": []}, None, "format_mismatch"),
        ({"messages": ["plain"]}, None, "format_mismatch"),
        ({"messages": [{"role": "user", "content": None}]}, None, "format_mismatch"),
        ({"text": "x"}, {"txet": "text"}, "unknown_format"),
        ({"text": "x"}, "parquet", "unknown_format"),
    ],
)
def test_what_fits_no_format(
    make_corpus: MakeCorpus, tmp_path: Path, row: dict[str, Any], row_format: Any, code: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    source = {"path": "a.jsonl"} | ({"format": row_format} if row_format else {})
    with pytest.raises(RecipeError) as error:
        make_corpus({"s": source})
    assert [problem.code for problem in error.value.problems] == [code]


def test_a_stray_row_does_not_decide_the_format(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    rows = [{"text": f"a{n}"} for n in range(20)] + [{"question": "q", "answer": "a"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = make_corpus("a.jsonl")
    assert result.rows.height == 20
    assert result.rejects["line"].to_list() == [21]
