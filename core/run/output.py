"""The corpus as it is written: one schema, the order of the rows, and files for `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from datachef.core.contracts.corpus import ORDER
from datachef.core.contracts.row_selection import sampling_priority
from datachef.core.contracts.writer import Writer
from datachef.core.errors import PluginError
from datachef.core.rows.columns import common_dtype, conformed
from datachef.core.rows.stored_conversations import (
    JSON,
    feature,
    fields_of,
    unfit,
    united,
    with_fields,
)
from datachef.core.run.stage import Block, OutputSpec, ShardWork
from datachef.core.run.store import Store
from datachef.core.system.atomic import flush
from datachef.core.system.failures import naming
from datachef.core.system.ownership import facts_of
from datachef.core.system.paths import is_url
from datachef.core.text.conversations import MESSAGES, TEMPLATE_COLUMNS, as_text

if TYPE_CHECKING:
    from datachef.core.rows.inspection import SourceInfo

OUTPUT = "write"

_CONTENT = {
    "text": {"text": "String"},
    "messages": {"messages": with_fields({})},
    "prompt_completion": {"prompt": with_fields({}), "completion": with_fields({})},
}
_PLAIN = {"prompt": "String", "completion": "String"}
_FEATURES = {"Boolean": "bool"}

# A table of a finished partition: the partition's key, and what its record says of the table.
Table = tuple[str, Mapping[str, Any]]
# The bytes of rows that are sorted at once, by estimate: packed files hold 4 times their size.
RANGE_BYTES = 16 * 2**20
MOST_RANGES = 256
UNPACKED = 4
_COPY = r"~(\d+)((?:\.\d+)*)$"
# How many ids are compared at once, as numbers of 8 bytes.
AT_ONCE = 32 * 2**20


def finished_rows(
    rows: pl.DataFrame, output: OutputSpec
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows with exactly the columns of the output, and those that its schema cannot hold.

    `text` takes every row. `messages` takes conversations in which the assistant says something.
    `prompt_completion` takes those that end with it: the completion is the last turn and the prompt
    all before, as turns or, with a separator, as text.
    """
    reason = unfit(rows, output.schema)
    fits = reason.is_null()
    failed = None if fits.all() else rows.with_columns(reason).filter(~fits)
    rows = rows.filter(fits)
    content = [rows["text"]] if output.schema == "text" else _conversations(rows, output)
    columns: list[pl.Expr | pl.Series] = [pl.col("id"), pl.col("source"), *content]
    columns.append(pl.col("tokens"))
    own = {"id", "source", "tokens", *(column.name for column in content)}
    placed = [ORDER] if output.order is not None and output.order.placed else []
    columns += [
        pl.col(name) if name in rows.columns else pl.lit(None).alias(name)
        for name in dict.fromkeys([*output.columns, *placed])
        if name not in own
    ]
    return rows.select(columns), failed


def _conversations(rows: pl.DataFrame, output: OutputSpec) -> list[pl.Series]:
    """The content of conversations in their schema, and what chat templates read beside it."""
    beside = [rows[name] for name in TEMPLATE_COLUMNS if name in rows.columns]
    if "messages" not in rows.columns:
        return [pl.Series(name, [], dtype=MESSAGES) for name in _CONTENT[output.schema]]
    messages = rows["messages"]
    if output.schema == "messages":
        return [messages, *beside]
    turns = pl.col("messages").list
    prompt = rows.select(turns.head(turns.len() - 1).alias("prompt"))["prompt"]
    completion = messages.list.tail(1).alias("completion")
    if output.separator is None:
        return [prompt, completion, *beside]
    return [as_text(prompt, output.separator) + output.separator, as_text(completion)]


def common_schema(parts: Sequence[Mapping[str, Any]], output: OutputSpec) -> dict[str, str]:
    """One dtype per column over all parts, by the rule of `columns`: a column that some parts lack
    or hold as null takes the dtype of the others, and where these differ they widen."""
    seen: dict[str, set[str]] = {name: {"String"} for name in ("id", "source")}
    content = _CONTENT[output.schema] if output.separator is None else _PLAIN
    seen |= {name: {dtype} for name, dtype in content.items()}
    seen |= {name: set() for name in output.columns if name not in seen}
    for part in parts:
        for name, dtype in part["schema"].items():
            seen.setdefault(name, set()).add(dtype)
    asked = {"id", "source", *content, *output.columns}
    return {
        name: _common(name, dtypes - {"Null"}, parts)
        for name, dtypes in seen.items()
        if name in asked or dtypes != {"Null"}
    }


def _common(name: str, dtypes: set[str], parts: Sequence[Mapping[str, Any]]) -> str:
    if not dtypes:
        return "String"
    if len(dtypes) == 1:
        return next(iter(dtypes))
    if all(fields_of(dtype) is not None for dtype in dtypes):
        return united(dtypes)
    kinds = {kind for part in parts for kind in part["kinds"].get(name, ())}
    return str(common_dtype({_dtype(dtype) for dtype in dtypes}, kinds))


def features(schema: Mapping[str, str]) -> list[dict[str, Any]]:
    """The columns as a dataset card names them, for files that do not name the types themselves."""
    return [{"name": name, **_feature(dtype)} for name, dtype in schema.items()]


def _feature(dtype: str) -> dict[str, Any]:
    if (known := feature(dtype)) is not None:
        return known
    if inner := _inner(dtype):
        item = _feature(inner)
        return {"list": item.get("dtype", item)}
    return {"dtype": _FEATURES.get(dtype, dtype.lower())}


def _inner(dtype: str) -> str:
    """What a list is of."""
    return dtype[5:-1] if dtype.startswith("List(") else ""


def plan_shards(tables: Sequence[Table], shard_bytes: int) -> list[list[Block]]:
    """Tables in their order gathered into files of about `shard_bytes` each; at least one file."""
    shards: list[list[Table]] = [[]]
    size = 0
    for key, facts in tables:
        if shards[-1] and size + facts["memory"] > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((key, facts))
        size += facts["memory"]
    return [[Block(tuple(shard))] for shard in shards]


def plan_shuffled_shards(tables: Sequence[Table], shard_bytes: int) -> list[list[Block]]:
    """Files of as many rows each, of about `shard_bytes`, from tables that are cut into ranges."""
    ranges = [
        [(key, piece) for (key, _), piece in zip(tables, pieces, strict=True) if piece["rows"]]
        for pieces in zip(*(facts["pieces"] for _, facts in tables), strict=True)
    ]
    total = sum(facts["rows"] for _, facts in tables)
    size = sum(facts["memory"] for _, facts in tables)
    count = max(1, min(total, -(-size // shard_bytes)))
    bounds = [total * index // count for index in range(count + 1)]
    shards: list[list[Block]] = [[] for _ in range(count)]
    first = 0
    for pieces in ranges:
        last = first + sum(piece["rows"] for _, piece in pieces)
        for shard, (begin, end) in zip(shards, pairwise(bounds), strict=True):
            start, stop = max(begin, first), min(end, last)
            if start < stop:
                shard.append(Block(tuple(pieces), True, start - first, stop - first))
        first = last
    return shards


def write_shard(item: ShardWork, store: Store, writer: Writer, cache: Path) -> dict[str, Any]:
    """Writes one file of the corpus and returns its name, rows, size and checksum."""
    frames = [frame for block in item.blocks for frame in _block_rows(block, item, store)]
    frame = pl.concat(frames) if frames else empty(item.schema)
    if is_url(item.folder):
        from datachef.core.files.object_folder import ObjectFolder

        remote = ObjectFolder(item.folder, cache)
        with remote.scratch(item.file) as made:
            writer.write(frame, item.schema, made)
            facts = facts_of(made)
            remote.put(made, item.file)
    else:
        path = Path(item.folder) / item.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            writer.write(frame, item.schema, path)
            flush(path)  # here, where several are at it
        facts = facts_of(path)
    return {"file": item.file, "rows": frame.height, **facts}


def _block_rows(block: Block, item: ShardWork, store: Store) -> list[pl.DataFrame]:
    tables = [store.read(key, facts) for key, facts in block.tables]
    rows = [_conformed(table, item.schema) for table in tables]
    if not block.sorted:
        return rows
    numbers = [table.to_series(table.width - 1) for table in tables]
    return [joined(list(zip(numbers, rows, strict=True)))[block.start : block.stop]]


def empty(schema: Mapping[str, str]) -> pl.DataFrame:
    """No rows, in the given schema."""
    return pl.DataFrame(schema={name: _dtype(dtype) for name, dtype in schema.items()})


def _conformed(frame: pl.DataFrame, schema: Mapping[str, str]) -> pl.DataFrame:
    rows = conformed(frame, {name: _dtype(dtype) for name, dtype in schema.items()})
    if "chat_template_kwargs" in schema:
        rows = rows.with_columns(pl.col("chat_template_kwargs").fill_null("{}"))
    return rows


def _dtype(name: str) -> Any:
    if fields_of(name) is not None:
        return MESSAGES
    if name == JSON:
        return pl.String()
    if inner := _inner(name):
        return pl.List(_dtype(inner))
    return getattr(pl, name.split("(", maxsplit=1)[0])()


def ranges_for(sources: Iterable[SourceInfo]) -> int:
    """Into how many ranges of about `RANGE_BYTES` to cut the order, as a power of two."""
    sizes = [found.size * (UNPACKED if found.packed else 1) for found in sources]
    wanted = MOST_RANGES if not all(sizes) else -(-sum(sizes) // RANGE_BYTES)
    return 1 << (min(max(wanted, 1), MOST_RANGES) - 1).bit_length()


def numbers(ids: pl.Series, seed: int, copies: int) -> pl.Series:
    """The place of each row on a circle of 2**64, of a source whose rows have up to `copies`."""
    if copies == 1:
        return sampling_priority(ids, seed)
    originals = ids.str.replace(_COPY, "${2}")
    copy = ids.str.extract(_COPY).cast(pl.UInt64, strict=False).fill_null(1).to_numpy() - np.uint64(
        1
    )
    own = sampling_priority(ids, seed).to_numpy() // np.uint64(2 * copies)
    step = np.uint64(2**64 // copies)
    place = sampling_priority(originals, seed).to_numpy() + (copy % np.uint64(copies)) * step + own
    return pl.Series("priority", place)


def places(order: pl.Series) -> pl.Series:
    """The place of each row on that circle by the column of a step that orders rows, from 0 to 1;
    without one, at its end."""
    last = np.nextafter(1.0, 0.0)
    share = order.cast(pl.Float64).fill_nan(None).fill_null(last).clip(0.0, last)
    return pl.Series("priority", (share.to_numpy() * 2.0**64).astype(np.uint64))


def cut(rows: pl.DataFrame, number: pl.Series, ranges: int) -> list[pl.DataFrame]:
    """The rows of each range in order, with their numbers as the last column."""
    name = "number"
    while name in rows.columns:
        name += "_"
    table = rows.with_columns(number.alias(name)).sort(name, "id")
    inner = np.array([start * (2**64 // ranges) for start in range(1, ranges)], dtype=np.uint64)
    bounds = np.searchsorted(table[name].to_numpy(), inner).tolist()
    return [table[start:stop] for start, stop in pairwise([0, *bounds, table.height])]


def joined(tables: Sequence[tuple[pl.Series, pl.DataFrame]]) -> pl.DataFrame:
    """The rows of one range in order, from tables of it with their numbers."""
    number = pl.concat([numbers for numbers, _ in tables])
    rows = pl.concat([rows for _, rows in tables])
    places = pl.DataFrame([number.alias("number"), rows["id"]])
    rows = rows[places.select(pl.arg_sort_by("number", "id")).to_series()]
    refuse_neighbouring_copies(rows["id"])
    return rows


def refuse_neighbouring_copies(ids: pl.Series) -> None:
    """Raises `PluginError` where an id stands twice in a column in which equal ones are neighbours:
    in shuffled order they are, as the order is made from the ids."""
    repeated = ids.filter(ids == ids.shift(1))
    if len(repeated):
        raise _repeated(repeated[0])


def refuse_copies(store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raises `PluginError` where an id stands twice in tables of the store, and `RunError` where
    one of them turns out damaged.

    Only the ids are read, as often as there are `AT_ONCE` rows, and never held as text. Their files
    are verified where something is wrong; later, whoever writes the rows does so anyway.
    """
    rounds = -(-sum(facts["rows"] for _, facts in tables) // AT_ONCE)
    for number in range(rounds):
        found = []
        for key, facts in tables:
            ids = store.columns(key, facts, ["id"])["id"].hash().to_numpy()
            found.append(ids if rounds == 1 else ids[ids % rounds == number])
        numbers = np.sort(np.concatenate(found))
        twice = numbers[1:][numbers[1:] == numbers[:-1]]
        if len(twice):
            _look_again(store, tables, pl.Series(twice, dtype=pl.UInt64))


def _look_again(
    store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]], numbers: pl.Series
) -> None:
    """Compares suspects by the text of their ids: two ids may have one number by chance."""
    suspects = []
    for key, facts in tables:
        ids = store.read(key, facts)["id"]
        suspects.append(ids.filter(ids.hash().is_in(numbers.implode())))
    refuse_neighbouring_copies(pl.concat(suspects).sort())


def _repeated(row: str) -> PluginError:
    return PluginError(
        f"two rows of the corpus have the id {row!r}",
        "a source that reads a row twice, or gives two rows one position, or an operator that "
        "makes rows and numbers them twice: report this to its author",
    )
