"""Turns that cannot be kept are named with the reason, and cost their rows alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversations import ANSWERED, ASKED, Row, calling, say

REFUSED: dict[str, tuple[Any, str, str]] = {
    "an unknown role": ([say("hummany", "q")], "unknown_role", "did you mean human"),
    "no role": ([{"content": "q"}], "missing_field", "no field 'role'"),
    "a role that is a number": ([say(1, "q")], "schema_mismatch", "the role 1 is not a name"),  # type: ignore[arg-type]
    "nothing said": ([say("user", None)], "missing_field", "a turn of user has no content"),
    "NaN said": ([say("user", float("nan"))], "missing_field", "has no content"),  # type: ignore[arg-type]
    "an image": (
        [say("user", [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": "u"}])],
        "unsupported_content",
        "'image_url': only text is supported",
    ),
    "an image that a tool returned": (
        [say("user", [{"type": "tool_result", "content": [{"type": "image", "source": "x"}]}])],
        "unsupported_content",
        "'image': only text",
    ),
    "thinking that none can read": (
        [ASKED, say("assistant", [{"type": "redacted_thinking", "data": "x"}])],
        "missing_field",
        "a turn of assistant has no content",
    ),
    "reasoning under another key": (
        [ASKED, say("assistant", [{"type": "reasoning", "summary": "x"}])],
        "missing_field",
        "a part of a turn is reasoning without its text",
    ),
    "a part whose type is no name": (
        [say("user", [{"type": ["text"], "text": "q"}])],
        "unsupported_content",
        "a part of a turn is 'type'",
    ),
    "sound": ([say("user", [{"audio": "u"}])], "unsupported_content", "'audio': only text"),
    "arguments that are no JSON": (
        calling(tool_calls=[{"function": {"name": "f", "arguments": "{city: 1"}}]),
        "bad_tool_call",
        "what f is called with is not JSON",
    ),
    "arguments that are no object": (
        calling(tool_calls=[{"function": {"name": "f", "arguments": [1]}}]),
        "bad_tool_call",
        "the arguments of 'f' are not an object",
    ),
    "a call of nothing": (calling(tool_calls=[{"id": "1"}]), "bad_tool_call", "names no function"),
    "NaN for what is said": (
        [ASKED, say("assistant", float("nan"))],
        "missing_field",
        "no content",
    ),
    "no turns": ([], "schema_mismatch", "not a list of turns"),
}


@pytest.mark.parametrize(("turns", "reason", "detail"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_named(
    written: Callable[..., Any], turns: list[Row], reason: str, detail: str
) -> None:
    good = {"messages": [ASKED, ANSWERED]}
    result, rows = written(good, {"messages": turns}, max_failed=0.5)
    assert len(rows) == 1
    assert dict(result.report.ledger["sources.s"].failed) == {reason: 1}
    assert result.rejects["line"].to_list() == [2]
    assert detail in result.rejects["detail"][0]


OBJECTS = """
from typing import ClassVar
import numpy
from datachef.core import hookimpl
from datachef.core import RawRow, Source, Partition

class Objects(Source):
    "Conversations that hold Python's objects."
    key: ClassVar[str] = "objects"
    objects: bool
    def partitions(self): return [Partition("all", "", 10)]
    def read(self, partition):
        for n, value in enumerate([object(), numpy.array([1, 2]), {3}, 1j, None]):
            call = {"function": {"name": "f", "arguments": {"x": [value]}}}
            rows = [
                {"meta": value}, {"meta": {"a": [value]}}, {"meta": {str(n): (value,)}},
                {"tool_calls": [call]}, {"tool_calls": numpy.array([call])},
            ]
            for place, row in enumerate(rows):
                turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
                turns[1] |= row
                yield RawRow(10 * n + place, 0, 5, {"messages": numpy.array(turns)})
            yield RawRow(10 * n + 9, 0, 5, {"messages": turns[:1] + [{"role": value}]})

@hookimpl
def datachef_sources(): return [Objects]
"""


def test_objects_inside_turns_cost_their_rows_alone(
    make_corpus: Callable[..., Any], tmp_path: Path
) -> None:
    pytest.importorskip("numpy")
    plugin = tmp_path / "objects.py"
    plugin.write_text(OBJECTS)
    source = {"objects": True, "format": {"messages": "messages"}, "max_failed": 0.5}
    output = {"schema": "messages", "order": "source"}
    result = make_corpus({"s": source}, plugins=[plugin], output=output)
    failed = dict(result.report.ledger["sources.s"].failed)
    assert failed == {"unsupported_value": 12, "schema_mismatch": 3}
    assert not any("0x" in detail for detail in result.rejects["detail"])
    answers = [row[1] for row in result.rows["messages"].to_list()]
    metas = [answer["meta"] for answer in answers]
    arrays, sets = ["[1,2]", '{"a":[[1,2]]}', '{"1":[[1,2]]}'], ["[3]", '{"a":[[3]]}']
    assert metas[:8] == [*arrays, None, None, *sets, '{"2":[[3]]}']
    for answer in answers[3:5]:
        (call,) = json.loads(answer["tool_calls"])
        assert call["function"] == {"name": "f", "arguments": {"x": [[1, 2]]}}


def test_pictures_beside_turns_are_named(written: Callable[..., Any]) -> None:
    rows = [
        {"conversations": [say("user", "<image>\nWhat is it?"), ANSWERED], "image": "a.png"},
        {"conversations": [say("user", "What is <image> in HTML?"), ANSWERED], "image": None},
    ]
    result, kept = written(*rows, max_failed=0.5)
    assert len(kept) == 1
    assert dict(result.report.ledger["sources.s"].failed) == {"unsupported_content": 1}
