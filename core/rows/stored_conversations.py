"""Conversations as they are written: turns with the fields that turns of the corpus have.

A corpus whose turns have nothing but role and content is written as such. Otherwise every turn has
all fields of all turns, null where it has none; a field that is not always text has Parquet's type
for JSON, which `datasets` reads as objects. So `tool_calls` come out as chat templates want them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.files.json_rows import decoder
from datachef.core.text.conversations import (
    MESSAGES,
    TEMPLATE_COLUMNS,
    last_answers,
    turns_column,
    turns_of,
)
from datachef.core.text.turns import Turn, dumps

JSON = "Json"
_TURNS = "Turns"
# Why a schema cannot hold a row.
UNWRITABLE = {
    "no_messages": "it is no conversation",
    "unanswered": "the assistant says nothing in it",
    "answer_is_not_last": "turns follow its last answer",
    "no_prompt": "nothing comes before its answer",
}
# The order of the usual fields; others follow by name.
_USUAL = ("reasoning_content", "reasoning", "thinking", "tool_calls", "tool_call_id", "name")


def unfit(rows: pl.DataFrame, schema: str) -> pl.Series:
    """Why the schema cannot hold a row; null where it can."""
    if schema == "text" or "messages" not in rows.columns:
        same = None if schema == "text" else "no_messages"
        return pl.Series("reason", [same] * rows.height, dtype=pl.String)
    length, last = rows["messages"].list.len().cast(pl.Int64), last_answers(rows["messages"])
    reason = (
        pl.when(length.is_null())
        .then(pl.lit("no_messages"))
        .when(last.is_null())
        .then(pl.lit("unanswered"))
    )
    if schema == "prompt_completion":
        reason = (
            reason.when(last < length - 1)
            .then(pl.lit("answer_is_not_last"))
            .when(length == 1)
            .then(pl.lit("no_prompt"))
        )
    return pl.select(reason.otherwise(pl.lit(None, pl.String)).alias("reason")).to_series()


def described(frame: pl.DataFrame) -> dict[str, str]:
    """The columns of a part with what is in them: the names of dtypes, or the fields of turns."""
    kinds = {}
    for name, dtype in frame.schema.items():
        if dtype == MESSAGES:
            kinds[name] = with_fields(_fields(frame[name]))
        elif name in TEMPLATE_COLUMNS:
            kinds[name] = str(pl.Null()) if frame[name].is_null().all() else JSON
        else:
            kinds[name] = str(dtype)
    return kinds


def with_fields(fields: Mapping[str, str]) -> str:
    """The kind of a column of turns that have these fields beside role and content."""
    rank = {name: place for place, name in enumerate(_USUAL)}
    names = sorted(fields, key=lambda name: (rank.get(name, len(rank)), name))
    return _TURNS + json.dumps([[name, fields[name]] for name in names])


def fields_of(kind: str) -> dict[str, str] | None:
    """The fields beside role and content in a column of turns; None for other columns."""
    return dict(json.loads(kind[len(_TURNS) :])) if kind.startswith(_TURNS) else None


def united(kinds: Iterable[str]) -> str:
    """The kind of a column of turns that has what any of its parts has."""
    fields: dict[str, str] = {}
    for kind in kinds:
        for name, inner in (fields_of(kind) or {}).items():
            fields[name] = inner if fields.get(name, inner) == inner else JSON
    return with_fields(fields)


def write_parquet(
    frame: pl.DataFrame, schema: Mapping[str, str], path: Path, row_group_rows: int
) -> None:
    """Writes the frame; its JSON text as Parquet's type for JSON."""
    plain = frame.with_columns(
        _turn_column(frame[name], fields)
        for name, kind in schema.items()
        if (fields := fields_of(kind)) is not None
    )
    if not any(JSON in kind for kind in schema.values()):
        plain.write_parquet(path, compression="zstd", row_group_size=row_group_rows)
        return
    import pyarrow.parquet

    starts = range(0, max(plain.height, 1), row_group_rows)
    tables = (_typed(plain[at : at + row_group_rows].to_arrow(), schema) for at in starts)
    first = next(tables)
    with pyarrow.parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def json_lines(frame: pl.DataFrame, schema: Mapping[str, str]) -> str:
    """The frame as JSON lines, every turn with its own fields alone."""
    nested = [name for name, kind in schema.items() if kind == JSON or fields_of(kind)]
    simple = frame.with_columns(
        _turn_column(frame[name], {})
        for name, kind in schema.items()
        if fields_of(kind) is not None and name not in nested
    )
    if not nested:
        return simple.write_ndjson()
    others = simple.drop(nested).write_ndjson().splitlines()
    values = {name: map(_nested_json, frame[name]) for name in nested}
    lines = []
    for line in others or [""] * frame.height:
        row = orjson.loads(line or b"{}")
        shown = [
            f"{dumps(name)}:{next(values[name]) if name in values else dumps(row[name])}"
            for name in frame.columns
        ]
        lines.append("{" + ",".join(shown) + "}\n")
    return "".join(lines)


def feature(kind: str) -> dict[str, Any] | None:
    """How a dataset card names the type of a column of turns or JSON; None for others."""
    if kind == JSON:
        return {"dtype": "json"}
    fields = fields_of(kind)
    if fields is None:
        return None
    types = {"role": "string", "content": "string"} | {
        name: "json" if inner == JSON else "string" for name, inner in fields.items()
    }
    return {"list": [{"name": name, "dtype": dtype} for name, dtype in types.items()]}


def _fields(messages: pl.Series) -> dict[str, str]:
    extras = messages.explode().drop_nulls().struct.field("extra").drop_nulls()
    fields: dict[str, str] = {}
    for extra in extras:
        for name, value in json.loads(extra).items():
            if not isinstance(value, str):
                fields[name] = JSON
            fields.setdefault(name, "String")
    return fields


def _turn_column(messages: pl.Series, fields: Mapping[str, str]) -> pl.Series:
    """Turns with these fields; JSON as text."""
    if not fields:
        simple = pl.element().struct
        turn = pl.struct(simple.field("role"), simple.field("content"))
        return messages.list.eval(turn).rename(messages.name)
    names = ("role", "content", *fields)
    dtype = pl.List(pl.Struct(dict.fromkeys(names, pl.String)))
    rows = [
        None if row is None else [_with_text(turn, fields) for turn in turns_of(row)]
        for row in messages
    ]
    return pl.Series(messages.name, rows, dtype=dtype, strict=True)


def _with_text(turn: Turn, fields: Mapping[str, str]) -> Turn:
    return {
        name: dumps(value) if fields.get(name) == JSON and value is not None else value
        for name, value in turn.items()
    }


def _nested_json(value: Any) -> str:
    if isinstance(value, pl.Series | list):
        return dumps(turns_of(value))
    return "null" if value is None else value


def _typed(table: Any, schema: Mapping[str, str]) -> Any:
    """An Arrow table with the extension type of JSON where there is JSON."""
    import pyarrow as pa

    columns = []
    for name, kind in schema.items():
        column = table[name].combine_chunks()
        fields = fields_of(kind)
        if kind == JSON:
            column = _json_array(column)
        elif fields is not None:
            column = _turn_array(column, ["String", "String", *fields.values()])
        columns.append(column)
    return pa.table(dict(zip(schema, columns, strict=True)))


def _json_array(texts: Any) -> Any:
    import pyarrow as pa

    return pa.ExtensionArray.from_storage(pa.json_(), texts.cast(pa.string()))


def _turn_array(rows: Any, kinds: Sequence[str]) -> Any:
    import pyarrow as pa

    rows = rows.cast(pa.list_(rows.type.value_type))
    flat = rows.values
    inner = [
        _json_array(flat.field(place)) if kind == JSON else flat.field(place).cast(pa.string())
        for place, kind in enumerate(kinds)
    ]
    names = [flat.type.field(place).name for place in range(len(kinds))]
    return pa.ListArray.from_arrays(
        rows.offsets, pa.StructArray.from_arrays(inner, names), mask=rows.is_null()
    )


def read_back(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of written conversations as the columns that operators know: turns as `MESSAGES`,
    JSON as text."""
    columns = []
    for name, dtype in frame.schema.items():
        column = frame[name]
        if isinstance(dtype, pl.BaseExtension):
            column = column.ext.storage()
        elif isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
            decode = decoder(dtype) or (lambda turns: turns)
            column = turns_column(map(decode, column.to_list())).rename(name)
        columns.append(column)
    return pl.DataFrame(columns)
