"""How the fields of a source map to `text` or to `messages`.

A field is named, reached through dots (`question.stem`, `answers.0`), or composed: `"{body}
{question}"` puts the values of two fields into one string. Braces hold names alone; nothing is
evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_serializer,
)

_SLOT = re.compile(r"\{([^{}]+)\}")
_ROLES = {"human": "user"} | dict.fromkeys(("gpt", "chatgpt", "bot", "agent", "model"), "assistant")

Turns = list[dict[str, str]]


class RowError(ValueError):
    """A row that does not fit its source's format; `reason` is its name in the ledger."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _reach(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        key: Any = int(part) if isinstance(value, list) and part.isdecimal() else part
        try:
            value = value[key]
        except (LookupError, TypeError):
            raise RowError("missing_field", f"no field {name!r}") from None
    return value


def _string(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise RowError("missing_field", f"the field {name!r} is null")
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    raise RowError("schema_mismatch", f"the field {name!r} is not text")


def fill(row: Mapping[str, Any], spec: str) -> str:
    """The text that a field, or a composition of fields, has in a row. Raises `RowError`."""
    if "{" not in spec:
        return _string(_reach(row, spec), spec)
    return _SLOT.sub(lambda slot: _string(_reach(row, slot[1]), slot[1]), spec)


class _Format(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    conversational: ClassVar[bool] = True

    def fields(self) -> set[str]:
        """The fields that every row must have."""
        return self._named_in(self._required())

    def uses(self) -> set[str]:
        """The fields that `convert` turns into text; they are not kept beside it."""
        turn_fields = {"role", "content"}
        return self._named_in(set(type(self).model_fields) - turn_fields)

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        """The first field, by which the format is told, and the others that are not the usual."""
        first, *others = type(self).model_fields
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        named = [first, *(name for name in others if getattr(self, name) != usual[name])]
        return {name: getattr(self, name) for name in named}

    def _named_in(self, parameters: Iterable[str]) -> set[str]:
        specs = [v for k in parameters if isinstance(v := getattr(self, k), str)]
        return {slot for spec in specs for slot in (_SLOT.findall(spec) or [spec])}

    def _required(self) -> Iterable[str]:
        return type(self).model_fields


class TextFormat(_Format):
    """Documents: one field, or several composed."""

    conversational: ClassVar[bool] = False
    text: str = Field("text", description="The field with the text.")

    def convert(self, row: Mapping[str, Any]) -> str:
        return fill(row, self.text)


class MessagesFormat(_Format):
    """Conversations as a list of `{role, content}`."""

    messages: str = Field("messages", description="The field with the list of turns.")
    role: str = Field("role", description="Name of the speaker's field in a turn.")
    content: str = Field("content", description="Name of the words' field in a turn.")

    def _required(self) -> Iterable[str]:
        return ("messages",)

    def convert(self, row: Mapping[str, Any]) -> Turns:
        turns = _reach(row, self.messages)
        if not isinstance(turns, list) or not turns:
            raise RowError("schema_mismatch", f"{self.messages!r} is not a list of turns")
        return [self._turn(turn) for turn in turns]

    def _turn(self, turn: Any) -> dict[str, str]:
        if not isinstance(turn, Mapping):
            raise RowError("schema_mismatch", f"a turn of {self.messages!r} is not an object")
        role = _string(_reach(turn, self.role), self.role)
        content = _string(_reach(turn, self.content), self.content)
        return {"role": _ROLES.get(role, role), "content": content}


class ShareGPTFormat(_Format):
    """ShareGPT: a list of `{from, value}`, where human and gpt become user and assistant."""

    conversations: str = Field("conversations", description="The field with the list of turns.")

    def convert(self, row: Mapping[str, Any]) -> Turns:
        return MessagesFormat(messages=self.conversations, role="from", content="value").convert(
            row
        )


class AlpacaFormat(_Format):
    """Alpaca rows: an instruction, an input that may be absent or empty, an output."""

    instruction: str = Field("instruction", description="The field with the instruction.")
    input: str = Field("input", description="The field with the input; need not be there.")
    output: str = Field("output", description="The field with the answer.")

    def _required(self) -> Iterable[str]:
        return ("instruction", "output")

    def convert(self, row: Mapping[str, Any]) -> Turns:
        prompt = fill(row, self.instruction)
        extra = row.get(self.input)
        if isinstance(extra, str) and extra.strip():
            prompt = f"{prompt}\n\n{extra}"
        return _pair(prompt, fill(row, self.output))


class PromptFormat(_Format):
    """A prompt and its completion, with a system message where one is named."""

    prompt: str = Field("prompt", description="The field with the prompt.")
    completion: str = Field("completion", description="The field with the completion.")
    system: str | None = Field(None, description="The field with a system message.")

    def convert(self, row: Mapping[str, Any]) -> Turns:
        turns = _pair(fill(row, self.prompt), fill(row, self.completion))
        if self.system is None:
            return turns
        return [{"role": "system", "content": fill(row, self.system)}, *turns]


def _pair(prompt: str, completion: str) -> Turns:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


_KINDS = {
    "text": TextFormat,
    "messages": MessagesFormat,
    "sharegpt": ShareGPTFormat,
    "alpaca": AlpacaFormat,
    "prompt": PromptFormat,
}
_KEYS = {"conversations": "sharegpt", "instruction": "alpaca", "completion": "prompt"}


def _kind(value: Any) -> str | None:
    if isinstance(value, _Format):
        return next(name for name, model in _KINDS.items() if type(value) is model)
    if not isinstance(value, Mapping):
        return None
    for key in value:
        if (kind := _KEYS.get(key, key)) in _KINDS:
            return kind
    return None


def _named(value: Any) -> Any:
    """`format: alpaca` is short for the format with its usual field names."""
    return _KINDS[value]() if isinstance(value, str) and value in _KINDS else value


_Kind = Annotated[
    Annotated[TextFormat, Tag("text")]
    | Annotated[MessagesFormat, Tag("messages")]
    | Annotated[ShareGPTFormat, Tag("sharegpt")]
    | Annotated[AlpacaFormat, Tag("alpaca")]
    | Annotated[PromptFormat, Tag("prompt")],
    Discriminator(
        _kind,
        custom_error_type="unknown_format",
        custom_error_message="a format names text, messages, conversations, instruction and "
        "output, or prompt and completion",
    ),
]
_Usual = Literal["text", "messages", "sharegpt", "alpaca", "prompt"]
Format = Annotated[_Kind, BeforeValidator(_named, json_schema_input_type=_Kind | _Usual)]

_USUAL = (
    MessagesFormat(),
    ShareGPTFormat(),
    AlpacaFormat(),
    PromptFormat(),
    PromptFormat(prompt="prompt", completion="response"),
    PromptFormat(prompt="question", completion="answer"),
    TextFormat(),
    TextFormat(text="content"),
)


def recognise(columns: Iterable[str]) -> Format | None:
    """The format that these column names are usual for, or None."""
    names = set(columns)
    return next((usual for usual in _USUAL if usual.fields() <= names), None)
