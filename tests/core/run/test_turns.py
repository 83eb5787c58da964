"""What is written of the turns of a conversation, whatever form a source has them in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conversations import ANSWERED, ASKED, CALL, CALLED, TOLD, USED, Row, calling, say

# A row of a source, its format, and the turns that are written.
TURNS: dict[str, tuple[Row, Any, list[Row]]] = {
    "as they are": ({"messages": USED}, None, USED),
    "no content beside a call": (
        {"messages": [ASKED, {"role": "assistant", "tool_calls": [CALL]}, TOLD, ANSWERED]},
        None,
        USED,
    ),
    "arguments as JSON text": (
        {"messages": calling(tool_calls=[CALL | {"function": {
            "name": "weather", "arguments": '{"city": "Köln", "n": 2}'}}])},
        None,
        USED,
    ),
    "calls as JSON text": ({"messages": calling(tool_calls=json.dumps([CALL]))}, None, USED),
    "each call as JSON text": ({"messages": calling(tool_calls=[json.dumps(CALL)])}, None, USED),
    "turns as JSON text": ({"messages": json.dumps(USED)}, None, USED),
    "calls without a function around them": (
        {"messages": calling(tool_calls=[CALL["function"]])}, None, USED,
    ),
    "the call of OpenAI's first functions": (
        {"messages": [
            ASKED,
            say("assistant", None, function_call=CALL["function"]),
            say("function", "rain", name="weather"),
            ANSWERED,
        ]},
        None,
        [ASKED, CALLED, TOLD | {"name": "weather"}, ANSWERED],
    ),
    "the parts of Anthropic's content": (
        {"messages": [
            ASKED,
            say("assistant", [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "weather",
                 "input": {"city": "Köln", "n": 2}},
            ]),
            say("user", [
                {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "c2", "is_error": True,
                 "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "wind"}]},
                {"type": "text", "text": "So?"},
            ], weight=1),
            ANSWERED,
        ]},
        None,
        [
            ASKED,
            say("assistant", "I look.", reasoning_content="hm", tool_calls=[CALL | {"id": "c1"}]),
            say("tool", "rain", tool_call_id="c1"),
            say("tool", "no\nwind", is_error=True, tool_call_id="c2"),
            say("user", "So?", weight=1),
            ANSWERED,
        ],
    ),
    "parts with the fields of all parts": (
        {"messages": [
            say("user", [{"type": "text", "text": "q", "thinking": None, "input": None}]),
            say("assistant", [{"type": "tool_use", "text": None, "name": "weather",
                               "input": {"city": "Köln", "n": 2}}]),
            say("user", [{"type": "tool_result", "content": "rain", "text": None, "name": None}]),
            say("assistant", [{"type": "text", "text": "a", "thinking": None, "input": None}]),
        ]},
        None,
        USED,
    ),
    "thinking in parts of its own, and before": (
        {"messages": [ASKED, say("assistant", [
            {"type": "thinking", "thinking": [{"type": "text", "text": "so"}]},
            {"type": "reasoning", "text": "or"},
            {"type": "text", "text": "a"},
        ], reasoning_content="hm")]},
        None,
        [ASKED, ANSWERED | {"reasoning_content": "hm\nso\nor"}],
    ),
    "a refusal among the parts": (
        {"messages": [ASKED, say("assistant", [{"type": "refusal", "refusal": "no"}])]},
        None,
        [ASKED, say("assistant", None, refusal="no")],
    ),
    "a system message in parts": (
        {"messages": [ASKED, ANSWERED], "system": [
            {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "t"},
        ]},
        None,
        [say("system", "s\nt"), ASKED, ANSWERED],
    ),
    "no arguments": (
        {"messages": calling(tool_calls=[
            {"id": "c1", "function": {"name": "now", "arguments": ""}}
        ])},
        None,
        calling(tool_calls=[
            {"type": "function", "id": "c1", "function": {"name": "now", "arguments": {}}}
        ]),
    ),
    "integers beyond 64 bits, which datasets cannot read": (
        {"messages": [
            say("user", 2**70),
            say("assistant", None, tool_calls=[
                {"function": {"name": "f", "arguments": {"n": 2**70, "m": [2**63, -(2**64)]}}}
            ]),
            say("tool", {"n": 2**70}),
            ANSWERED,
        ]},
        None,
        [
            say("user", "1180591620717411303424"),
            say("assistant", None, tool_calls=[
                {"type": "function", "function": {"name": "f", "arguments": {
                    "n": "1180591620717411303424", "m": [2**63, "-18446744073709551616"],
                }}}
            ]),
            say("tool", '{"n":1180591620717411303424}'),
            ANSWERED,
        ],
    ),
    "an empty list of calls": (
        {"messages": [ASKED, ANSWERED | {"tool_calls": []}]}, None, [ASKED, ANSWERED],
    ),
    "ids and names": (
        {"messages": [
            ASKED,
            say("assistant", "", tool_calls=[{"id": "c1", **CALL}]),
            say("tool", "rain", tool_call_id="c1", name="weather"),
            ANSWERED,
        ]},
        None,
        [
            ASKED,
            say("assistant", "", tool_calls=[{"id": "c1", **CALL}]),
            say("tool", "rain", tool_call_id="c1", name="weather"),
            ANSWERED,
        ],
    ),
    "ShareGPT with tools": (
        {"conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps(CALL["function"])},
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "a"},
        ]},
        None,
        USED,
    ),
    "several calls of ShareGPT": (
        {"conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps([CALL["function"]] * 2)},
        ]},
        None,
        [ASKED, CALLED | {"tool_calls": [CALL, CALL]}],
    ),
    "conversations of roles and contents": (
        {"conversations": [ASKED, ANSWERED]}, None, [ASKED, ANSWERED],
    ),
    "messages of ShareGPT": (
        {"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        None,
        [ASKED, ANSWERED],
    ),
    "what a tool returns as JSON": (
        {"messages": [ASKED, CALLED, say("tool", {"sky": ["rain"]}), ANSWERED]},
        None,
        [ASKED, CALLED, say("tool", '{"sky":["rain"]}'), ANSWERED],
    ),
    "reasoning": (
        {"messages": [ASKED, ANSWERED | {"reasoning_content": "hm"}]},
        None,
        [ASKED, ANSWERED | {"reasoning_content": "hm"}],
    ),
    "reasoning by other names": (
        {"messages": [ASKED, ANSWERED | {"thinking": "hm"}, ASKED, ANSWERED | {"reasoning": "so"}]},
        None,
        [ASKED, ANSWERED | {"thinking": "hm"}, ASKED, ANSWERED | {"reasoning": "so"}],
    ),
    "what nobody knows": (
        {"messages": [ASKED | {"mood": {"glad": 0.5}, "role_": None}, ANSWERED | {"weight": 0}]},
        None,
        [ASKED | {"mood": {"glad": 0.5}}, ANSWERED | {"weight": 0}],
    ),
    "parts": (
        {"messages": [say("user", [{"type": "text", "text": "q"}]), ANSWERED]},
        None,
        [ASKED, ANSWERED],
    ),
    "several parts": (
        {"messages": [
            say("user", [{"type": "text", "text": "one"}, {"text": "two"}, "three"]),
            ANSWERED,
        ]},
        None,
        [say("user", "one\ntwo\nthree"), ANSWERED],
    ),
    "roles of other makers, in any case": (
        {"messages": [
            say(role, "x")
            for role in ("System", "DEVELOPER", "Human", " prompter", "GPT", "Observation", "Model")
        ]},
        None,
        [
            say(role, "x")
            for role in ("system", "developer", "user", "user", "assistant", "tool", "assistant")
        ],
    ),
    "roles of one's own": (
        {"messages": [say("Student", "q"), say("tutor", "a")]},
        {"messages": "messages", "roles": {"student": "user", "TUTOR": "assistant"}},
        [ASKED, ANSWERED],
    ),
    "a system message beside": (
        {"system": "be kind", "messages": [ASKED, ANSWERED]},
        None,
        [say("system", "be kind"), ASKED, ANSWERED],
    ),
    "a blank system message": (
        {"system": " ", "messages": [ASKED, ANSWERED]}, None, [ASKED, ANSWERED],
    ),
    "two system messages": (
        {"system": "be kind", "conversations": [say("system", "be brief"), ASKED, ANSWERED]},
        None,
        [say("system", "be kind\n\nbe brief"), ASKED, ANSWERED],
    ),
    "system and history of Alpaca": (
        {"instruction": "q", "input": "", "output": "a", "system": "s", "history": [["x", "y"]]},
        None,
        [say("system", "s"), say("user", "x"), say("assistant", "y"), ASKED, ANSWERED],
    ),
    "a history of turns": (
        {"prompt": "q", "response": "a", "history": [say("human", "x"), say("bot", "y")]},
        None,
        [say("user", "x"), say("assistant", "y"), ASKED, ANSWERED],
    ),
    "a prompt and its completion as turns": (
        {"prompt": [say("system", "s"), ASKED], "completion": [ANSWERED]},
        None,
        [say("system", "s"), ASKED, ANSWERED],
    ),
    "several turns of one role, and one in the middle of the system": (
        {"messages": [ASKED, ASKED, say("system", "s"), ANSWERED, ANSWERED, ASKED]},
        None,
        [ASKED, ASKED, say("system", "s"), ANSWERED, ANSWERED, ASKED],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "format", "turns"), TURNS.values(), ids=TURNS)
def test_turns_keep_what_they_carry(
    written: Callable[..., Any], row: Row, format: Any, turns: list[Row]
) -> None:
    _, rows = written(row, format=format)
    assert [row["messages"] for row in rows] == [turns]
