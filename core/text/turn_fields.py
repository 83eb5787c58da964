"""Turns as the fields of published rows hold them: lists and objects of many shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from datachef.core.errors import RowError
from datachef.core.text.turns import Turn, dumps, split_turns
from datachef.core.text.values import field_value, plain

# Fields of a turn that are read where those that the format names are not there.
_ROLE_FIELDS, _CONTENT_FIELDS = ("role", "from"), ("content", "value")
_MEDIA = ("image", "images", "video", "videos", "audio", "audios")
_PLACEHOLDER = re.compile(r"<(image|video|audio)>")

# What tells `apply_chat_template` what to do. Handed on by a row, it would choose the template that
# is compiled for it, or end the training: rows bring variables for the template, and nothing else.
_CHAT_TEMPLATE_ARGUMENTS = frozenset(
    (
        "self", "conversation", "messages", "tools", "chat_template", "add_generation_prompt",
        "continue_final_message", "tokenize", "sanitize_control_tokens", "padding", "truncation",
        "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask",
        "tokenizer_kwargs", "processor_kwargs", "template_kwargs",
    )
)  # fmt: skip


def question_and_answer(prompt: str, completion: str) -> list[Turn]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


def list_of_turns(
    row: Mapping[str, Any], field: str, role: str, content: str, roles: Mapping[str, str]
) -> list[Turn]:
    """The turns in a field; raises `RowError` where it holds no list of them."""
    found = unpacked(field_value(row, field))
    if not isinstance(found, list) or not found:
        raise RowError("schema_mismatch", f"{field!r} is not a list of turns")
    return [turn for item in found for turn in turns_in(item, role, content, roles)]


def turns_in(
    item: Any, role: str = "role", content: str = "content", roles: Mapping[str, str] | None = None
) -> list[Turn]:
    """The turns of one item of a list: a call of a tool and its result may be one item."""
    item = unpacked(item)
    if not isinstance(item, Mapping):
        raise RowError("schema_mismatch", "a turn is not an object")
    role = _field_in(item, role, _ROLE_FIELDS)
    content = _field_in(item, content, _CONTENT_FIELDS)
    said = field_value(item, content) if content in item or "." in content else None
    rest = {key: value for key, value in item.items() if key not in (role, content)}
    more = {name.strip().lower(): known for name, known in (roles or {}).items()}
    return split_turns(field_value(item, role), said, rest, more)


def _field_in(item: Mapping[str, Any], name: str, usual: Iterable[str]) -> str:
    """The field as it is named, or else the usual one that is there."""
    known = [name, *usual] if "." not in name else [name]
    return next((field for field in known if field in item), name)


def unpacked(value: Any) -> Any:
    """A list or an object, which may be written as JSON text."""
    value = plain(value)
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def with_system(system: str, turns: list[Turn]) -> list[Turn]:
    """The turns after a system message; one that they have already is joined to it."""
    first, *rest = turns
    if first["role"] != "system":
        return [{"role": "system", "content": system}, *turns]
    own = first["content"] or ""
    whole = own if system.strip() in own else f"{system}\n\n{own}".rstrip()
    return [first | {"content": whole}, *rest]


def refuse_media(row: Mapping[str, Any], turns: Iterable[Turn]) -> None:
    """Raises `RowError` for turns that refer to images, audio or video in other fields."""
    beside = [name for name in _MEDIA if row.get(name)]
    if beside and any(_PLACEHOLDER.search(turn["content"] or "") for turn in turns):
        raise RowError(
            "unsupported_content",
            f"its turns refer to what is in {beside[0]!r}: only text is supported, no images, "
            "audio or video",
        )


def template_arguments(row: Mapping[str, Any]) -> str | None:
    """What TRL hands to the chat template for this row alone."""
    value = unpacked(row.get("chat_template_kwargs"))
    if not value:
        return None
    if not isinstance(value, Mapping):
        raise RowError("schema_mismatch", "'chat_template_kwargs' is not an object")
    if refused := sorted(_CHAT_TEMPLATE_ARGUMENTS & set(value)):
        detail = f"'chat_template_kwargs' may not set {refused[0]!r}: it has variables alone"
        raise RowError("schema_mismatch", detail)
    return dumps(value)
