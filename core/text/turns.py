"""Turns of conversations as TRL and chat templates read them, whoever wrote them down.

A turn is a dictionary with `role`, `content` (text, or None beside a tool call or reasoning) and
whatever else it carries. Roles have the names of chat templates; tool calls have the form
`{"type": "function", "function": {"name": ..., "arguments": {...}}}`, with arguments as an object.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from datachef.core.errors import RowError, did_you_mean, shortened
from datachef.core.text.values import json_text, plain

Turn = dict[str, Any]
# Digits that may be an integer beyond 64 bits.
_LONG = re.compile(r"\d{19}")

ROLES = ("system", "developer", "user", "assistant", "tool")
# Other names of a role, in lower case.
ROLE_NAMES = {role: role for role in ROLES} | {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "agent": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "ipython": "tool",
    "function_call": "assistant",
    "tool_call": "assistant",
}
# Roles of ShareGPT whose content is a tool call, as JSON.
CALLING = {"function_call", "tool_call"}

# Fields of a turn that hold prose of their own, beside `content`, in their order of rendering.
PROSE = ("reasoning_content", "reasoning", "thinking", "tool_plan", "refusal")
_TEXT_PARTS = {"text", "input_text", "output_text"}
# Parts of content that are a field of the turn, with the key of their text.
_FIELD_PARTS = {
    "thinking": ("reasoning_content", "thinking"),
    "reasoning": ("reasoning_content", "text"),
    "refusal": ("refusal", "refusal"),
}
# What a result of a tool among the parts says otherwise than a turn, or is null beside it.
_RESULT = {"type", "content", "tool_use_id", "text", "id", "input", "thinking", "cache_control"}
_OTHER_PARTS = {
    "image", "image_url", "input_image", "video", "video_url", "audio", "audio_url", "input_audio",
    "file", "input_file",
}  # fmt: skip


def dumps(value: Any, *, wide: bool = False) -> str:
    """Compact JSON text.

    Readers of JSON columns break on integers beyond 64 bits: unless `wide` is said, these become
    text, with all their digits.
    """
    text = json_text(value)
    return text if wide or not _LONG.search(text) else json_text(_narrowed(value))


def _narrowed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _narrowed(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_narrowed(part) for part in value]
    wide = type(value) is int and not -(2**63) <= value < 2**64
    return str(value) if wide else value


def split_turns(
    role: Any, content: Any, rest: Mapping[str, Any], roles: Mapping[str, str]
) -> list[Turn]:
    """The turns in one turn of a source, as `turn` reads them: what tools returned, where it stands
    among the parts of a content, is said by a turn of its own. Raises `RowError`."""
    parts = content if isinstance(content, list) else [content]
    groups = [(told, list(group)) for told, group in groupby(parts, _is_result)]
    if not any(told for told, _ in groups):
        return [turn(role, content, rest, roles)]
    pieces = [piece for told, group in groups for piece in (group if told else [group])]
    turns: list[Turn] = []
    for place, piece in enumerate(pieces, 1):
        more = rest if place == len(pieces) else {}
        if isinstance(piece, Mapping):
            turns.append(_result(piece, more))
        else:
            turns.append(turn(role, piece, more, roles))
    return turns


def _is_result(part: Any) -> bool:
    return _kind(part) == "tool_result"


def _result(part: Mapping[str, Any], more: Mapping[str, Any]) -> Turn:
    """The turn of a tool; `more` are other fields of the turn in which its result stands."""
    own = {key: value for key, value in part.items() if key not in _RESULT}
    said = "" if part.get("content") is None else part["content"]
    return turn("tool", said, {**more, **own, "tool_call_id": part.get("tool_use_id")}, {})


def turn(role: Any, content: Any, rest: Mapping[str, Any], roles: Mapping[str, str]) -> Turn:
    """One turn from its role, its content and its other fields; `roles` names more roles.

    Raises `RowError` with the reason `unknown_role`, `unsupported_content`, `bad_tool_call`,
    `missing_field` or `schema_mismatch`, and `UnsupportedValueError` for what is no data.
    """
    name = _role_name(role)
    others = {key: value for key, value in rest.items() if value is not None}
    for key in ("role", "content"):
        if key in others:
            others[f"original_{key}"] = others.pop(key)
    if _role(name, roles) != "tool":
        content, others = _unfolded(content, others)
    calls = tool_calls(others.pop("tool_calls", None))
    legacy = others.pop("function_call", None)
    if isinstance(legacy, Mapping):
        calls = [*calls, *tool_calls(legacy)]
    elif legacy is not None:
        others["function_call"] = legacy
    if name in CALLING and name not in roles:
        calls, content = [*calls, *tool_calls(content)], None
    said = _content(content, tool=_role(name, roles) == "tool")
    made = {"role": _role(name, roles), "content": said, **others}
    if calls:
        made["tool_calls"] = calls
    if said is None and not calls and made.keys().isdisjoint(PROSE):
        raise RowError("missing_field", f"a turn of {name} has no content")
    return made


def _unfolded(content: Any, others: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Content without the parts that are fields of a turn, and the fields with them: reasoning,
    refusals and tool calls. What is encrypted of reasoning can be read by nobody and goes."""
    parts = content if isinstance(content, list) else []
    found: dict[str, list[Any]] = {}
    left = []
    for part in parts:
        kind = _kind(part)
        if kind in _FIELD_PARTS:
            field, key = _FIELD_PARTS[kind]
            said = _content(part.get(key, part.get(kind)), tool=False)
            if said is None:
                raise RowError("missing_field", f"a part of a turn is {kind} without its text")
            found.setdefault(field, []).append(said)
        elif kind == "tool_use":
            call = {key: part.get(key) for key in ("id", "name")} | {"arguments": part.get("input")}
            found.setdefault("tool_calls", []).append(call)
        elif kind != "redacted_thinking":
            left.append(part)
    if len(left) == len(parts):
        return content, others
    for field, values in found.items():
        own = others.get(field)
        if field == "tool_calls":
            others = others | {field: [*tool_calls(own), *values]}
            continue
        before = [own] if isinstance(own, str) and own not in values else []
        if text := "\n".join(filter(None, [*before, *values])):
            others = others | {field: text}
    return left or None, others


def _kind(part: Any) -> str | None:
    """What a part of a content says that it is."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else None


def _role_name(role: Any) -> str:
    if not isinstance(role, str):
        raise RowError("schema_mismatch", f"the role {json_text(role)[:80]} is not a name")
    return role.strip().lower()


def _role(name: str, roles: Mapping[str, str]) -> str:
    found = roles.get(name) or ROLE_NAMES.get(name)
    if found is None:
        hint = did_you_mean(name, {*ROLE_NAMES, *roles})
        raise RowError(
            "unknown_role", f"{shortened(name)} is no role of a turn ({hint.rstrip('?')})"
        )
    return found


def _content(value: Any, *, tool: bool) -> str | None:
    """The text of a turn; what a tool returns may be any JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):  # how tables write that there is none
        return None
    if isinstance(value, bool | int | float):
        return dumps(value, wide=True)
    items = value if isinstance(value, list) else [value]
    if tool and not all(_is_part(item) for item in items):
        return dumps(value, wide=True)
    texts = [_part(item) for item in items]
    return "\n".join(text for text in texts if text is not None)


def _is_part(item: Any) -> bool:
    return _kind(item) in _TEXT_PARTS | _OTHER_PARTS


def _part(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping):
        raise RowError("schema_mismatch", "the content of a turn is neither text nor parts of it")
    kind = _kind(item) or next((key for key, value in item.items() if value is not None), "nothing")
    if kind not in _TEXT_PARTS:
        raise RowError(
            "unsupported_content",
            f"a part of a turn is {shortened(kind)}: only text is supported, no images, audio or "
            "video",
        )
    text = item.get("text")
    if text is not None and not isinstance(text, str):
        raise RowError("schema_mismatch", "the text of a part is not text")
    return text


def tool_calls(value: Any) -> list[dict[str, Any]]:
    """Tool calls in one form: a list, one call, or either as JSON text. Raises `RowError`."""
    value = _parsed(value, "a tool call")
    if value is None:
        return []
    return [_call(item) for item in (value if isinstance(value, list) else [value])]


def _call(value: Any) -> dict[str, Any]:
    value = _parsed(value, "a tool call")
    if not isinstance(value, Mapping):
        raise RowError("bad_tool_call", "a tool call is not an object")
    call = {key: part for key, part in value.items() if part is not None}
    function = _parsed(call.get("function"), "the function of a tool call")
    if isinstance(function, Mapping):
        function = dict(function)
    elif "name" in call:
        function = {"name": call.pop("name"), "arguments": call.pop("arguments", None)}
        if function["arguments"] is None and isinstance(call.get("parameters"), Mapping | str):
            function["arguments"] = call.pop("parameters")
    elif call.get("type") not in (None, "function"):
        return call
    else:
        raise RowError("bad_tool_call", "a tool call names no function")
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise RowError("bad_tool_call", "a tool call names no function")
    arguments = _parsed(function.get("arguments") or {}, f"what {function['name']} is called with")
    if not isinstance(arguments, Mapping):
        raise RowError(
            "bad_tool_call", f"the arguments of {shortened(function['name'])} are not an object"
        )
    return {"type": "function", **call, "function": {**function, "arguments": dict(arguments)}}


def _parsed(value: Any, what: str) -> Any:
    """A value that may be written as JSON text, even twice."""
    value = plain(value)
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError:
            raise RowError("bad_tool_call", f"{what} is not JSON: {shortened(value)}") from None
    return value


def tool_schemas(value: Any, name: str) -> str | None:
    """The column `tools` as JSON text: a list of JSON schemas of functions, or None without any.

    A function that is described without `{"type": "function", "function": ...}` around it gets it,
    and an `input_schema` is named `parameters`.
    Raises `RowError`.
    """
    try:
        value = _parsed(value, name)
    except RowError as error:
        raise RowError("bad_tools", f"{error}; if it holds no tools, write tools: null") from None
    if not value:
        return None
    items = [_parsed(item, name) for item in (value if isinstance(value, list) else [value])]
    if not all(isinstance(item, Mapping) for item in items):
        raise RowError(
            "bad_tools", f"{name!r} is no list of tools; if it holds none, write tools: null"
        )
    return dumps([_tool(item) for item in items])


def _tool(item: Mapping[str, Any]) -> Mapping[str, Any]:
    described = isinstance(item.get("name"), str) and item.get("function") is None
    known = item.get("type") in (None, "function") or "input_schema" in item
    if not described or not known:
        return item
    names = {"input_schema": "parameters"}
    function = {
        names.get(key, key): value
        for key, value in item.items()
        if key not in ("type", "function") and not (key in names and value is None)
    }
    return {"type": "function", "function": function}


def prose(turn: Mapping[str, Any]) -> Iterator[str]:
    """All that a turn says, in the order in which models say it: reasoning, content, tool calls."""
    for key in PROSE:
        if isinstance(turn.get(key), str):
            yield turn[key]
    if isinstance(turn.get("content"), str):
        yield turn["content"]
    for call in turn.get("tool_calls") or ():
        function = call.get("function")
        if isinstance(function, Mapping):
            yield f"{function.get('name')} {_shown(function.get('arguments'))}"
        else:
            yield _shown(call)


def _shown(value: Any) -> str:
    """JSON in which texts stand as they are, without escapes, so that their words can be found."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}": {_shown(part)}' for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return dumps(value)


def answers(turns: Iterable[Mapping[str, Any]]) -> list[int]:
    """The places of the turns in which the assistant says something."""
    return [
        index
        for index, turn in enumerate(turns)
        if turn["role"] == "assistant" and any(part.strip() for part in prose(turn))
    ]
