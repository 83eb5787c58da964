"""The corpus as it is written: one row schema, whole files, readable by `datasets`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from datachef.core.chat import MESSAGES
from datachef.core.run.stage import OutputSpec, ShardTask
from datachef.core.run.store import Store, checksum

OUTPUT = "write"
SUFFIX = {"parquet": "parquet", "jsonl": "jsonl", "jsonl.zst": "jsonl.zst"}
ROW_GROUP_ROWS = 10_000

_CONTENT = {
    "text": {"text": "String"},
    "messages": {"messages": str(MESSAGES)},
    "prompt_completion": {"prompt": "String", "completion": "String"},
}
_FEATURES = {"Boolean": "bool"}


def finished_rows(
    rows: pl.DataFrame, output: OutputSpec
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows with exactly the columns of the output, and those that its schema cannot hold.

    `text` takes every row; `messages` takes conversations; `prompt_completion` takes conversations
    of one question and one answer, with the system message, if any, before the question.
    """
    fits, reason = _fit(rows, output.schema)
    failed = (
        rows.filter(~fits).with_columns(pl.lit(reason).alias("reason")) if not fits.all() else None
    )
    rows = rows.filter(fits)
    columns: list[pl.Expr] = [pl.col("id"), pl.col("source")]
    if output.schema == "text":
        columns.append(pl.col("text"))
    elif output.schema == "messages":
        columns.append(pl.col("messages"))
    else:
        content = pl.col("messages").list.eval(pl.element().struct.field("content"))
        before = content.list.head(content.list.len() - 1)
        columns += [
            before.list.join("\n\n").alias("prompt"),
            content.list.last().alias("completion"),
        ]
    columns.append(pl.col("tokens"))
    own = {column.meta.output_name() for column in columns}
    columns += [
        pl.col(name) if name in rows.columns else pl.lit(None).alias(name)
        for name in dict.fromkeys(output.columns)
        if name not in own
    ]
    return rows.select(columns), failed


def _fit(rows: pl.DataFrame, schema: str) -> tuple[pl.Series, str]:
    if schema == "text":
        return pl.repeat(True, rows.height, dtype=pl.Boolean, eager=True), ""
    if "messages" not in rows.columns:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True), "no_messages"
    messages = pl.col("messages")
    if schema == "messages":
        return rows.select(messages.is_not_null().alias("fits"))["fits"], "no_messages"
    roles = messages.list.eval(pl.element().struct.field("role")).list.join(" ")
    pair = roles.str.contains(r"^(system )?user assistant$").fill_null(False)
    return rows.select(pair.alias("fits"))["fits"], "not_prompt_completion"


def common_schema(parts: Sequence[Mapping[str, Any]], output: OutputSpec) -> dict[str, str]:
    """One dtype per column over all parts: a column that some parts lack or hold as null takes the
    dtype of the others, numbers widen to float, and anything else that differs becomes text."""
    seen: dict[str, set[str]] = {name: {"String"} for name in ("id", "source")}
    seen |= {name: {dtype} for name, dtype in _CONTENT[output.schema].items()}
    seen |= {name: set() for name in output.columns if name not in seen}
    for part in parts:
        for name, dtype in part["schema"].items():
            seen.setdefault(name, set()).add(dtype)
    return {name: _widened(dtypes - {"Null"}) for name, dtypes in seen.items()}


def features(schema: Mapping[str, str]) -> list[dict[str, Any]]:
    """The columns as a dataset card names them, for files that do not name the types themselves."""
    return [{"name": name, **_feature(dtype)} for name, dtype in schema.items()]


def _feature(dtype: str) -> dict[str, Any]:
    if dtype == str(MESSAGES):
        return {"list": [{"name": name, "dtype": "string"} for name in ("role", "content")]}
    if inner := _inner(dtype):
        feature = _feature(inner)
        return {"list": feature.get("dtype", feature)}
    return {"dtype": _FEATURES.get(dtype, dtype.lower())}


def _inner(dtype: str) -> str:
    """What a list is of."""
    return dtype[5:-1] if dtype.startswith("List(") else ""


def _widened(dtypes: set[str]) -> str:
    if len(dtypes) == 1:
        return next(iter(dtypes))
    numeric = {"Int64", "Float64", "UInt32", "UInt64", "Int32", "Float32"}
    return "Float64" if dtypes and dtypes <= numeric else "String"


def plan_shards(
    parts: Sequence[tuple[str, Mapping[str, Any]]], shard_bytes: int
) -> list[list[tuple[str, Mapping[str, Any]]]]:
    """Consecutive parts gathered into files of about `shard_bytes` each; at least one file."""
    shards: list[list[tuple[str, Mapping[str, Any]]]] = [[]]
    size = 0
    for key, facts in parts:
        if shards[-1] and size + facts["memory"] > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((key, facts))
        size += facts["memory"]
    return shards


def write_shard(task: ShardTask, store: Store) -> dict[str, Any]:
    """Writes one file of the corpus and tells its name, rows, size and checksum."""
    from pathlib import Path

    path = Path(task.folder) / task.file
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [store.read(key, facts) for key, facts in task.parts]
    frame = (
        pl.concat([_conformed(f, task.schema) for f in frames]) if frames else empty(task.schema)
    )
    if task.format == "parquet":
        frame.write_parquet(path, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    else:
        raw = frame.write_ndjson()
        if task.format == "jsonl.zst":
            import zstandard

            path.write_bytes(zstandard.ZstdCompressor().compress(raw.encode()))
        else:
            path.write_text(raw, encoding="utf-8")
    return {
        "file": task.file,
        "rows": frame.height,
        "bytes": path.stat().st_size,
        "checksum": checksum(path),
    }


def empty(schema: Mapping[str, str]) -> pl.DataFrame:
    """No rows, in the given schema."""
    return pl.DataFrame(schema={name: _dtype(dtype) for name, dtype in schema.items()})


def _conformed(frame: pl.DataFrame, schema: Mapping[str, str]) -> pl.DataFrame:
    columns = []
    for name, wanted in schema.items():
        column = pl.col(name) if name in frame.columns else pl.lit(None).alias(name)
        have = str(frame.schema.get(name, pl.Null()))
        columns.append(column if have == wanted else column.cast(_dtype(wanted)))
    return frame.select(columns)


def _dtype(name: str) -> Any:
    if name == str(MESSAGES):
        return MESSAGES
    if inner := _inner(name):
        return pl.List(_dtype(inner))
    return getattr(pl, name.split("(", maxsplit=1)[0])()
