"""How the fields of a source map to `text` or to `messages`.

A field is named, reached through dots (`question.stem`, `answers.0`), or composed: `"{body}
{question}"` puts the values of two fields into one string. Braces hold names alone; nothing is
evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_serializer,
)

from datachef.core.errors import RowError
from datachef.core.text.turn_fields import (
    list_of_turns,
    question_and_answer,
    refuse_media,
    template_arguments,
    turns_in,
    unpacked,
    with_system,
)
from datachef.core.text.turns import Turn, tool_schemas, turn
from datachef.core.text.values import (
    SLOT,
    UnsupportedValueError,
    composed_text,
    field_text,
    field_value,
    is_nan,
    json_text,
)

# Fields that one composition may name: more of them would make gigabytes of small rows.
MOST_SLOTS = 100
# Fields of every conversational format; none of them tells one from another.
_BESIDE = ("system", "history", "tools")

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Conversation(NamedTuple):
    """A row that is a conversation: its turns, and what chat templates read beside them, as JSON
    text."""

    turns: list[Turn]
    tools: str | None = None
    chat_template_kwargs: str | None = None


class _Format(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    conversational: ClassVar[bool] = False

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        if isinstance(value, str) and len(SLOT.findall(value)) > MOST_SLOTS:
            raise ValueError(f"a composition names at most {MOST_SLOTS} fields")
        return value

    def fields(self) -> set[str]:
        """The fields that every row must have."""
        return self._named_in(self._required())

    def uses(self) -> set[str]:
        """The fields that `convert` turns into text; they are not kept beside it."""
        return self._named_in(set(type(self).model_fields) - {"role", "content", "roles"})

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        """The first field, by which the format is told, and the others that are not the usual."""
        usual = {
            name: field.get_default(call_default_factory=True)
            for name, field in type(self).model_fields.items()
        }
        first, *others = sorted(usual, key=lambda name: name in _BESIDE)
        named = [first, *(name for name in others if getattr(self, name) != usual[name])]
        return {name: getattr(self, name) for name in named}

    def _named_in(self, parameters: Iterable[str]) -> set[str]:
        specs = [v for k in parameters if isinstance(v := getattr(self, k), str)]
        return {slot for spec in specs for slot in (SLOT.findall(spec) or [spec])}

    def _required(self) -> Iterable[str]:
        return type(self).model_fields


class TextFormat(_Format):
    """Documents: one field, or several composed."""

    text: str = Field("text", description="The field with the text.")

    def convert(self, row: Mapping[str, Any]) -> str:
        return composed_text(row, self.text)


class _Conversational(_Format):
    """Rows that are conversations.

    `system`, `history` and `tools` need not be there; another name than the usual must be.
    """

    conversational: ClassVar[bool] = True

    def convert(self, row: Mapping[str, Any]) -> Conversation:
        """The conversation in a row. Raises `RowError`."""
        try:
            return self._conversation(row)
        except UnsupportedValueError as error:
            raise RowError("unsupported_value", f"it holds {error}") from error
        except RecursionError as error:
            raise RowError("nested_too_deeply", "JSON in it nests too deeply") from error

    def _conversation(self, row: Mapping[str, Any]) -> Conversation:
        turns = [*self._history(row), *self._turns(row)]
        if not turns:
            raise RowError("schema_mismatch", "there is no turn in it")
        if system := self._optional_text(row, "system"):
            turns = with_system(system, turns)
        refuse_media(row, turns)
        for made in turns:
            if len(made) > 2:  # more than role and content: is it data?
                json_text(made)
        return Conversation(turns, self._tools(row), template_arguments(row))

    def _turns(self, row: Mapping[str, Any]) -> list[Turn]:
        raise NotImplementedError

    def uses(self) -> set[str]:
        return super().uses() | {"chat_template_kwargs"}

    def _required(self) -> Iterable[str]:
        usual = type(self).model_fields
        named = [name for name in _BESIDE if getattr(self, name) != usual[name].default]
        return [*self._content_fields(), *named]

    def _content_fields(self) -> Iterable[str]:
        raise NotImplementedError

    def _optional(self, row: Mapping[str, Any], parameter: str) -> Any:
        """The value of a field that need not be there under its usual name."""
        name = getattr(self, parameter)
        if name is None or (name == type(self).model_fields[parameter].default and name not in row):
            return None
        value = field_value(row, name)
        return None if is_nan(value) else value

    def _optional_text(self, row: Mapping[str, Any], parameter: str) -> str | None:
        name = getattr(self, parameter)
        if name is not None and "{" in name:
            return composed_text(row, name)
        value = self._optional(row, parameter)
        if isinstance(value, list) and value:
            value = turn(parameter, value, {}, {})["content"]
        text = None if value is None else field_text(value, str(name))
        return text if text and text.strip() else None

    def _history(self, row: Mapping[str, Any]) -> list[Turn]:
        """Earlier turns: pairs of a question and its answer, or turns."""
        value = unpacked(self._optional(row, "history"))
        if not value:
            return []
        if not isinstance(value, list):
            raise RowError(
                "schema_mismatch",
                f"{self.history!r} holds no earlier turns; if it is something else, write "
                "history: null",
            )
        turns: list[Turn] = []
        for item in value:
            if isinstance(item, Mapping):
                turns += turns_in(item)
            elif isinstance(item, list | tuple) and len(item) == 2:
                turns += question_and_answer(*(field_text(text, "history") for text in item))
            else:
                raise RowError("schema_mismatch", f"{self.history!r} is no list of pairs")
        return turns

    def _tools(self, row: Mapping[str, Any]) -> str | None:
        value = self._optional(row, "tools")
        if value is None and self.tools == "tools" and isinstance(row.get("functions"), list):
            value = row["functions"]
        return None if value is None else tool_schemas(value, self.tools or "functions")

    system: str | None = Field(
        "system", description="The field with a system message; need not be there. Null: none."
    )
    history: str | None = Field(
        "history", description="The field with earlier turns; need not be there. Null: none."
    )
    tools: str | None = Field(
        "tools", description="The field with the tools on offer; need not be there. Null: none."
    )


class MessagesFormat(_Conversational):
    """Conversations as a list of `{role, content}`, with tool calls, reasoning and what else."""

    messages: str = Field("messages", description="The field with the list of turns.")
    role: str = Field("role", description="Name of the speaker's field in a turn.")
    content: str = Field("content", description="Name of the words' field in a turn.")
    roles: dict[str, Role] = Field(
        default_factory=dict, description="More names of roles, such as student: user."
    )

    def _content_fields(self) -> Iterable[str]:
        return ("messages",)

    def _turns(self, row: Mapping[str, Any]) -> list[Turn]:
        return list_of_turns(row, self.messages, self.role, self.content, self.roles)


class ShareGPTFormat(_Conversational):
    """ShareGPT: a list of `{from, value}`, where human and gpt become user and assistant."""

    conversations: str = Field("conversations", description="The field with the list of turns.")
    roles: dict[str, Role] = Field(
        default_factory=dict, description="More names of roles, such as student: user."
    )

    def _content_fields(self) -> Iterable[str]:
        return ("conversations",)

    def _turns(self, row: Mapping[str, Any]) -> list[Turn]:
        return list_of_turns(row, self.conversations, "from", "value", self.roles)


class AlpacaFormat(_Conversational):
    """Alpaca rows: an instruction, an input that may be absent or empty, an output."""

    instruction: str = Field("instruction", description="The field with the instruction.")
    input: str = Field("input", description="The field with the input; need not be there.")
    output: str = Field("output", description="The field with the answer.")

    def _content_fields(self) -> Iterable[str]:
        return ("instruction", "output")

    def _turns(self, row: Mapping[str, Any]) -> list[Turn]:
        prompt = composed_text(row, self.instruction)
        extra = row.get(self.input)
        text = "" if extra is None or is_nan(extra) else field_text(extra, self.input)
        if text.strip():
            prompt = f"{prompt}\n\n{text}"
        return question_and_answer(prompt, composed_text(row, self.output))


class PromptFormat(_Conversational):
    """A prompt and its completion: two texts, or two lists of turns."""

    prompt: str = Field("prompt", description="The field with the prompt.")
    completion: str = Field("completion", description="The field with the completion.")

    def _content_fields(self) -> Iterable[str]:
        return ("prompt", "completion")

    def _turns(self, row: Mapping[str, Any]) -> list[Turn]:
        return [
            *self._side(row, self.prompt, "user"),
            *self._side(row, self.completion, "assistant"),
        ]

    def _side(self, row: Mapping[str, Any], name: str, role: str) -> list[Turn]:
        if "{" not in name and isinstance(field_value(row, name), list):
            return list_of_turns(row, name, "role", "content", {})
        return [{"role": role, "content": composed_text(row, name)}]


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


_CONVERSATIONS = "messages, conversations, instruction and output, or prompt and completion"
_ConversationKind = Annotated[
    Annotated[MessagesFormat, Tag("messages")]
    | Annotated[ShareGPTFormat, Tag("sharegpt")]
    | Annotated[AlpacaFormat, Tag("alpaca")]
    | Annotated[PromptFormat, Tag("prompt")],
    Discriminator(
        _kind,
        custom_error_type="unknown_format",
        custom_error_message=f"a format of conversations names {_CONVERSATIONS}",
    ),
]
ConversationFormat = Annotated[
    _ConversationKind,
    BeforeValidator(
        _named,
        json_schema_input_type=_ConversationKind
        | Literal["messages", "sharegpt", "alpaca", "prompt"],
    ),
]
"""Which columns hold the turns of a conversation, as the `format` of a source says it."""

_Kind = Annotated[
    Annotated[TextFormat, Tag("text")]
    | Annotated[MessagesFormat, Tag("messages")]
    | Annotated[ShareGPTFormat, Tag("sharegpt")]
    | Annotated[AlpacaFormat, Tag("alpaca")]
    | Annotated[PromptFormat, Tag("prompt")],
    Discriminator(
        _kind,
        custom_error_type="unknown_format",
        custom_error_message=f"a format names text, {_CONVERSATIONS}",
    ),
]
_Usual = Literal["text", "messages", "sharegpt", "alpaca", "prompt"]
Format = Annotated[_Kind, BeforeValidator(_named, json_schema_input_type=_Kind | _Usual)]


@cache
def _usual_formats() -> tuple[Format, ...]:
    return (
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
    return next((known for known in _usual_formats() if known.fields() <= names), None)


def recognised_conversation(columns: Iterable[str]) -> ConversationFormat | None:
    """The format of conversations that these column names are usual for, or None."""
    found = recognise(columns)
    return None if isinstance(found, TextFormat) else found
