"""Rows of a table in plain values: what Python has no exact type for is converted in the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from datachef.core.files.json_columns import Decoder, decoder
from datachef.core.values import Unsupported

if TYPE_CHECKING:
    import polars as pl

# What `datasets` calls the columns that hold neither text nor numbers, and what they hold.
_MEDIA = {"Image": "an image", "Audio": "a sound", "Video": "a video", "Pdf": "a PDF document"}
_LISTS = ("List", "LargeList", "Sequence")

# Time zones that are no places, which polars does not know.
_OFFSET = re.compile(r"[+-]\d\d:?\d\d")

# What of a table is made into Python's values at once: so many rows, with so much text.
_PART_ROWS = 512
_PART_BYTES = 16 * 2**20

Features = Mapping[str, Any]


def is_foreign(kind: Any) -> bool:
    """Whether polars does not read a type of Arrow, or not as what it stands for, or breaks on it:
    decimals of more than 38 digits, views of lists, offsets as time zones, UUIDs."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return kind.extension_name in ("arrow.uuid", "arrow.bool8") or is_foreign(kind.storage_type)
    if pa.types.is_timestamp(kind):
        return bool(kind.tz and _OFFSET.fullmatch(kind.tz))
    if pa.types.is_dictionary(kind):
        return is_foreign(kind.value_type)
    return (
        pa.types.is_decimal256(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
        or any(is_foreign(kind.field(place).type) for place in range(kind.num_fields))
    )


def frame_of(table: Any) -> pl.DataFrame:
    """A table of Arrow as one of polars; columns of foreign types hold Python's objects."""
    import polars as pl

    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if is_foreign(field.type):
            values = column.to_pylist(maps_as_pydicts="lossy")
            columns.append(pl.Series(field.name, values, dtype=pl.Object))
        else:
            columns.append(pl.Series(field.name, column))
    return pl.DataFrame(columns)


def features_in(metadata: Mapping[str, str]) -> Features:
    """The types that `datasets` gave to the columns of a Parquet file, from the file's metadata."""
    with suppress(ValueError, KeyError, TypeError):
        features = json.loads(metadata["huggingface"])["info"]["features"]
        return features if isinstance(features, dict) else {}
    return {}


def rows_of(frame: pl.DataFrame, features: Features) -> Iterator[dict[str, Any]]:
    """The rows of a table; dates and times are ISO 8601 text, with all their digits, and columns of
    JSON what it says.

    `features` are types as `datasets` writes them in JSON: a class label becomes its name, and a
    column that holds images and the like becomes `Unsupported`.
    """
    import polars as pl

    media: dict[str, str] = {}
    decoders: dict[str, Decoder] = {}
    columns: list[pl.Expr] = []
    for name, dtype in frame.schema.items():
        column, feature = pl.col(name), features.get(name)
        if what := _media(feature, dtype):
            media[name] = what
            column = column.is_not_null()
        elif (converted := _converted(column, dtype, feature)) is not None:
            column = converted.alias(name)
        if name not in media and (decode := decoder(dtype)) is not None:
            decoders[name] = decode
        columns.append(column)
    for part in _bounded(frame):
        for row in part.select(columns).iter_rows(named=True, buffer_size=max(1, part.height)):
            for name, what in media.items():
                row[name] = Unsupported(what) if row[name] else None
            for name, decode in decoders.items():
                row[name] = decode(row[name])
            yield row


def _bounded(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The frame in parts of which the texts are not large: in the table equal ones are one, and as
    Python's they are many."""
    import polars as pl

    sizes = [
        (pl.col(name).str.len_bytes() if dtype == pl.String else pl.col(name).bin.size())
        .fill_null(0)
        .cast(pl.Int64)
        for name, dtype in frame.schema.items()
        if dtype in (pl.String, pl.Binary)
    ]
    if not sizes or frame.height == 0:
        ends = pl.Series([0] * frame.height, dtype=pl.Int64)
    else:
        ends = frame.select(pl.sum_horizontal(sizes).cum_sum().alias("size"))["size"]
    start, before = 0, 0
    while start < frame.height:
        stop = int(ends.search_sorted(before + _PART_BYTES, side="right"))
        stop = min(max(stop, start + 1), start + _PART_ROWS)
        yield frame[start:stop]
        before = int(ends[stop - 1])
        start = stop


def _media(feature: Any, dtype: pl.DataType) -> str:
    """What a column holds that is not supported, however deep inside; nothing where it is data."""
    import polars as pl

    if isinstance(feature, Mapping):
        kind = feature.get("_type")
        if isinstance(kind, str):
            return _MEDIA.get(kind) or _media(feature.get("feature"), pl.Null())
        return next((what for inner in feature.values() if (what := _media(inner, pl.Null()))), "")
    if isinstance(feature, list) and feature:
        return _media(feature[0], pl.Null())
    # how `datasets` stores images and sounds, also where nothing says that they are such
    if dtype == pl.Struct({"bytes": pl.Binary, "path": pl.String}):
        return "an image or another file"
    return ""


def _converted(value: pl.Expr, dtype: pl.DataType, feature: Any) -> pl.Expr | None:
    """The value in a type that Python holds exactly; None where it is in one already."""
    import polars as pl

    names = feature.get("names") if isinstance(feature, Mapping) else None
    if dtype.is_integer() and names and feature.get("_type") == "ClassLabel":
        numbers = list(range(len(names)))
        return value.replace_strict(
            numbers, names, default=value.cast(pl.String), return_dtype=pl.String
        )
    if dtype == pl.Date:
        return value.dt.strftime("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("%:z" if dtype.time_zone else ""))
    if dtype == pl.Time:
        return value.dt.strftime("%H:%M:%S%.f")
    if isinstance(dtype, pl.Duration):
        return value.dt.to_string("iso")
    if isinstance(dtype, pl.List | pl.Array):
        inner = _converted(pl.element(), dtype.inner, _inside(feature))  # type: ignore[arg-type]
        if inner is None:
            return None
        return (value.arr.to_list() if isinstance(dtype, pl.Array) else value).list.eval(inner)
    if isinstance(dtype, pl.Struct):
        return _converted_struct(value, dtype, feature)
    return None


def _converted_struct(value: pl.Expr, dtype: pl.Struct, feature: Any) -> pl.Expr | None:
    import polars as pl

    fields = []
    changed = False
    for field in dtype.fields:
        inner = value.struct.field(field.name)
        converted = _converted(inner, field.dtype, _of_field(feature, field.name))  # type: ignore[arg-type]
        changed |= converted is not None
        fields.append((inner if converted is None else converted).alias(field.name))
    if not changed:
        return None
    return pl.when(value.is_not_null()).then(pl.struct(fields))


def _inside(feature: Any) -> Any:
    """The feature of a list's elements."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, Mapping) else None


def _of_field(feature: Any, name: str) -> Any:
    """The feature of an object's field; a sequence of objects is stored as an object of lists."""
    if not isinstance(feature, Mapping):
        return None
    if feature.get("_type") in _LISTS and isinstance(inner := feature.get("feature"), Mapping):
        return {"_type": "List", "feature": inner.get(name)}
    return feature.get(name)
