"""Conversations as rows: `messages` holds the turns, `text` is always rendered from them.

Filters, deduplication and decontamination read `text`, so they work on documents and on
conversations alike. The text of a turn is all that it says: its reasoning, its content and its
tool calls, name and arguments. Whatever rewrites text rewrites the turns, and `text` is derived
again.

A turn is stored as `role`, `content` and `extra`: JSON text of an object with everything else that
it carries (`tool_calls`, `reasoning_content`, `name`, ...), null where there is nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from datachef.core.errors import PluginError
from datachef.core.text.turns import PROSE, Turn, answers, dumps, prose

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String, "extra": pl.String}))
SEPARATOR = "\n\n"
# Columns of a conversation that chat templates read, as JSON text.
TEMPLATE_COLUMNS = ("tools", "chat_template_kwargs")


def turns_column(conversations: Iterable[Sequence[Turn] | None]) -> pl.Series:
    """Conversations as the column `messages`."""
    rows = [None if turns is None else [_stored(turn) for turn in turns] for turns in conversations]
    return pl.Series("messages", rows, dtype=MESSAGES, strict=True)


def turns_of(messages: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """The turns in one value of the column `messages`, each with all its fields."""
    return [
        {
            "role": turn["role"],
            "content": turn["content"],
            **(json.loads(turn["extra"]) if turn.get("extra") else {}),
        }
        for turn in messages
    ]


def render_text(turn: Mapping[str, Any]) -> str:
    """All that a turn says, as plain text."""
    return SEPARATOR.join(prose(turn))


def with_text(batch: pl.DataFrame) -> pl.DataFrame:
    """Derives `text` again wherever a row has `messages`."""
    if "messages" not in batch.columns:
        return batch
    messages = conformed(batch["messages"])
    old = batch["text"] if "text" in batch.columns else pl.lit(None, pl.String)
    text = pl.when(messages.is_not_null()).then(as_text(messages)).otherwise(old)
    return batch.with_columns(messages, text.alias("text"))


def as_text(messages: pl.Series, separator: str = SEPARATOR) -> pl.Series:
    """The plain text of conversations, or of parts of them."""
    contents = messages.list.eval(pl.element().struct.field("content").fill_null(""))
    read = contents.list.join(separator)
    rich = _rich(messages)
    if not rich.any():
        return read
    rows = zip(messages, read, rich, strict=True)
    told = [
        separator.join(map(render_text, turns_of(row))) if more else text
        for row, text, more in rows
    ]
    return pl.Series(messages.name, told, dtype=pl.String)


def with_stored_turns(batch: pl.DataFrame) -> pl.DataFrame:
    """The batch of an operator that may have made turns as structs of whatever fields."""
    if "messages" not in batch.columns or batch.schema["messages"] == MESSAGES:
        return batch
    return batch.with_columns(conformed(batch["messages"]))


def conformed(messages: pl.Series) -> pl.Series:
    """The column `messages` as it is stored, of turns with whatever fields."""
    if messages.dtype == MESSAGES:
        return messages
    if messages.dtype == pl.Null:
        return messages.cast(MESSAGES)
    nested = isinstance(messages.dtype, pl.List) and isinstance(messages.dtype.inner, pl.Struct)
    if not nested:
        raise PluginError(
            f"messages are {messages.dtype}",
            hint="make them lists of turns, each with role and content",
        )
    rows = messages.to_list()
    if "extra" in dict(messages.dtype.inner):  # type: ignore[attr-defined]
        rows = [
            None if row is None else [turns_of([turn])[0] | _others(turn) for turn in row]
            for row in rows
        ]
    return turns_column(rows)


def rewritten(
    batch: pl.DataFrame, rewrite: Callable[[pl.Series], pl.Series], *, arguments: bool
) -> pl.DataFrame:
    """Applies `rewrite` to all prose of a batch: documents, contents of turns, reasoning.

    What is null stays null, and everything else that a turn carries stays as it is; with
    `arguments` the texts inside the arguments of tool calls are rewritten too, each by itself.
    """
    if "messages" not in batch.columns:
        return batch.with_columns(rewrite(batch["text"]).alias("text"))
    messages = conformed(batch["messages"])
    rows = pl.DataFrame({"row": pl.int_range(batch.height, eager=True), "messages": messages})
    said = rows.filter(pl.col("messages").list.len() > 0).explode("messages").unnest("messages")
    extras = [None if extra is None else json.loads(extra) for extra in said["extra"]]
    slots = [slot for extra in extras if extra for slot in _slots(extra, arguments)]
    inside = pl.Series([holder[key] for holder, key in slots], dtype=pl.String)
    plain = batch["text"].filter(messages.is_null())
    contents = said["content"].drop_nulls()
    result = rewrite(pl.concat([plain, contents, inside]))
    for (holder, key), text in zip(slots, result.tail(inside.len()), strict=True):
        holder[key] = text
    said = said.with_columns(
        _in_places(
            result.slice(plain.len(), contents.len()), said["content"].is_not_null(), "content"
        ),
        pl.Series("extra", [None if e is None else dumps(e) for e in extras], dtype=pl.String),
    )
    chats = said.group_by("row", maintain_order=True).agg(
        pl.struct("role", "content", "extra").alias("rewritten")
    )
    rows = rows.join(chats, "row", "left", maintain_order="left")
    text = _in_places(result.head(plain.len()), messages.is_null(), "text")
    whole = pl.coalesce(rows["rewritten"], rows["messages"]).alias("messages")
    return with_text(batch.with_columns(text, whole))


def _in_places(values: pl.Series, places: pl.Series, name: str) -> pl.Series:
    """The values, one after the other, where `places` is true; null elsewhere."""
    index = pl.select(pl.when(places).then(places.cum_sum() - 1)).to_series()
    return values.gather(index).alias(name)


def _stored(turn: Mapping[str, Any]) -> dict[str, Any]:
    extra = {key: value for key, value in turn.items() if key not in ("role", "content")}
    extra = {key: value for key, value in extra.items() if value is not None}
    return {
        "role": turn["role"],
        "content": turn.get("content"),
        "extra": dumps(extra) if extra else None,
    }


def _others(turn: Mapping[str, Any]) -> Turn:
    """The fields of a turn beside those that every stored turn has."""
    return {key: value for key, value in turn.items() if key not in ("role", "content", "extra")}


def _slots(extra: dict[str, Any], arguments: bool) -> Iterable[tuple[Any, Any]]:
    """Where the prose of a turn stands in what it carries: containers and keys."""
    for key in PROSE:
        if isinstance(extra.get(key), str):
            yield extra, key
    if arguments:
        for call in extra.get("tool_calls") or ():
            yield from _texts(call.get("function", call), "arguments")


def _texts(holder: Any, key: Any) -> Iterable[tuple[Any, Any]]:
    value = holder.get(key) if isinstance(holder, dict) else holder[key]
    if isinstance(value, str):
        yield holder, key
    elif isinstance(value, dict | list):
        for inner in value if isinstance(value, dict) else range(len(value)):
            yield from _texts(value, inner)


def last_answers(messages: pl.Series) -> pl.Series:
    """The place of the last turn in which the assistant says something, by words, reasoning or a
    tool call; null in conversations without one."""
    turn = pl.element().struct
    said = (turn.field("role") == "assistant") & turn.field("content").str.contains(r"\S")
    found = messages.list.eval(pl.int_range(pl.len()).filter(said)).list.last().cast(pl.Int64)
    rich = _rich(messages)
    if not rich.any():
        return found
    rows = zip(messages, found, rich, strict=True)
    places = [max(answers(turns_of(row)), default=None) if more else at for row, at, more in rows]
    return pl.Series(places, dtype=pl.Int64)


def _rich(messages: pl.Series) -> pl.Series:
    """Whether some turn of a conversation carries more than its content."""
    more = messages.list.eval(pl.element().struct.field("extra").is_not_null().any())
    return more.list.first().fill_null(False)
