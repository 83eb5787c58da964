"""Parquet files as polars tables, and the rows of tables as plain values.

What polars does not read, Arrow does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datachef.core.files.json_rows import Decoder, decoder
from datachef.core.files.remote_parquet import parquet_copy
from datachef.core.files.storage import content_of
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import NOWHERE, Network
from datachef.core.text.values import Unsupported

if TYPE_CHECKING:
    import polars as pl


# The first row of a row group, how many rows it has, and the bytes that they take.
_Group = tuple[int, int, int]

# Bytes that are read at once, as they are when unpacked; a row is never divided, nor is a page.
READ_BYTES = 256 * 2**20
_FIRST_BYTES = 2**20
# Of a file whose row groups are not known.
_READ_ROWS = 1_000
# So many bytes in the lists of one column may come from few: no more of it is read at once than a
# row, which may hold all of them.
_MOST_IN_LISTS = 2**32
_MOST_EXPANSION = 1_000
_VALUE_BYTES = 8


class ParquetFile:
    """One file, local or behind a URL: then its footer is fetched, and row groups as they are read.

    Raises `polars.exceptions.PolarsError` or `OSError` where it cannot be read, or is made to take
    far more memory than it has bytes.
    """

    def __init__(self, path: str, network: Network = NOWHERE) -> None:
        import polars as pl

        self._copy = parquet_copy(path, network)
        self._content = (
            Path(self._copy.path) if self._copy is not None else content_of(path, network)
        )
        self._foreign = self._has_foreign_types()
        self._scan = None if self._foreign else pl.scan_parquet(self._content, glob=False)

    def count(self) -> int:
        """How many rows the file says that it has."""
        import polars as pl

        if self._scan is None:
            return int(self._arrow().metadata.num_rows)
        with _no_panic():
            return int(self._scan.select(pl.len()).collect().item())

    def features(self) -> Features:
        """The types that `datasets` gave to its columns."""
        import polars as pl

        if self._scan is None:
            known = self._arrow().schema_arrow.metadata or {}
            return features_in({key.decode(): value.decode() for key, value in known.items()})
        return features_in(pl.read_parquet_metadata(self._content))

    def unpacked(self) -> int:
        """How many bytes the rows take when they are unpacked, by what the file says; at least."""
        return sum(size for _, _, size in self._groups(0, None))

    def bounds(self, step: int) -> list[int]:
        """Where parts of about `step` rows begin and end. Of a file behind a URL no row group is
        in two of them, which would both fetch it."""
        rows = self.count()
        ends = [first + size for first, size, _ in self._groups(0, None)]
        if self._copy is None or not ends:
            return [*range(0, rows, step), rows]
        found = [0]
        for end in ends:
            if end - found[-1] >= step or end == rows:
                found.append(end)
        return found

    def pieces(self, start: int, stop: int) -> Iterator[pl.DataFrame]:
        """The rows from `start` to `stop` in tables of about `READ_BYTES`, at least a row each.

        Of a file behind a URL the first are small: some are read for their first rows alone.
        """
        room = READ_BYTES if self._copy is None else _FIRST_BYTES
        groups = list(self._groups(start, stop)) or [(start, stop - start, 0)]
        while start < stop:
            end = min(self._end_of_piece(groups, start, room), stop)
            yield self.read(start, end)
            start, room = end, min(2 * room, READ_BYTES)

    def _end_of_piece(self, groups: Sequence[_Group], start: int, most: int) -> int:
        end, room = start, float(most)
        for first, rows, size in groups:
            left = first + rows - end
            if left <= 0:
                continue
            fit = int(room * rows / size) if size else _READ_ROWS
            if fit < left:
                end += fit
                break
            end += left
            room -= left * size / rows
        return max(end, start + 1)

    def _groups(self, start: int, stop: int | None) -> Iterator[_Group]:
        """The row groups that hold rows from `start` to `stop`: the first row of each, how many it
        has, and how many bytes they take when they are unpacked; nothing where that is not known.
        """
        import pyarrow as pa

        try:
            metadata = self._metadata
            first = 0
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                rows = group.num_rows
                if rows and first + rows > start and (stop is None or first < stop):
                    yield first, rows, _unpacked(metadata, group)
                first += rows
        except pa.ArrowException as error:
            raise_environment_failure(error)

    @cached_property
    def _metadata(self) -> Any:
        return self._arrow().metadata

    def read(self, start: int, stop: int) -> pl.DataFrame:
        """The rows from `start` to `stop`; row groups outside are not read."""
        import polars as pl

        if self._copy is not None:
            self._copy.fetch_rows(self._metadata, start, stop)
        if self._scan is not None:
            with _no_panic():
                frame = self._scan.slice(start, stop - start).collect()
        else:
            frame = self._read_by_arrow(start, stop)
        if frame.height < stop - start:
            raise pl.exceptions.ComputeError(f"it holds {start + frame.height:,} rows and had more")
        return frame

    def _has_foreign_types(self) -> bool:
        import pyarrow as pa

        try:
            return any(is_foreign(field.type) for field in self._arrow().schema_arrow)
        except (pa.ArrowException, OSError) as error:  # polars tells what is wrong with it
            raise_environment_failure(error)
            if "deeply nested" in str(error):  # polars would crash
                raise OSError("its columns are nested too deeply to be read") from error
            return False

    def _arrow(self) -> Any:
        import pyarrow.parquet

        if isinstance(self._content, Path):
            return pyarrow.parquet.ParquetFile(self._content)
        return pyarrow.parquet.ParquetFile(pyarrow.BufferReader(self._content.getvalue()))

    def _read_by_arrow(self, start: int, stop: int) -> pl.DataFrame:
        import polars as pl
        import pyarrow as pa

        try:
            file = self._arrow()
            groups, skipped, first = [], 0, 0
            for group in range(file.metadata.num_row_groups):
                last = first + file.metadata.row_group(group).num_rows
                if last <= start:
                    skipped = last
                elif first < stop:
                    groups.append(group)
                first = last
            return self._read_batches(file, groups, start - skipped, stop - start)
        except (pa.ArrowException, OverflowError) as error:
            raise_environment_failure(error)
            raise pl.exceptions.ComputeError(str(error)) from error

    def _read_batches(self, file: Any, groups: list[int], before: int, rows: int) -> pl.DataFrame:
        """So many rows of row groups, after those before them, which are not held in memory."""
        import pyarrow as pa

        found = []
        for batch in file.iter_batches(_READ_ROWS, row_groups=groups):
            part = batch.slice(min(before, batch.num_rows), rows)
            before = max(0, before - batch.num_rows)
            rows -= part.num_rows
            found.append(part)
            if not rows:
                break
        return frame_of(pa.Table.from_batches(found, None if found else file.schema_arrow))


def _unpacked(metadata: Any, group: Any) -> int:
    """The bytes that a row group takes when it is unpacked. Raises `OSError` for one that holds
    lists of billions of values in next to nothing, of which one row could be all."""
    size = 0
    for place in range(group.num_columns):
        column = group.column(place)
        values = column.num_values * _VALUE_BYTES
        packed = column.total_uncompressed_size
        nested = metadata.schema.column(place).max_repetition_level > 0
        if nested and values > max(_MOST_IN_LISTS, _MOST_EXPANSION * packed):
            raise OSError(
                f"its column {column.path_in_schema!r} makes {values:,} bytes of {packed:,}; write "
                "it with smaller row groups, or without this column"
            )
        size += max(packed, values)
    return size


@contextmanager
def _no_panic() -> Iterator[None]:
    """What polars breaks on is an error of the file."""
    import polars as pl

    try:
        yield
    except pl.exceptions.PanicException as error:
        message = f"it holds what polars does not read ({error})"
        raise pl.exceptions.ComputeError(message) from error


# What `datasets` calls the columns that hold neither text nor numbers, and what they hold.
_MEDIA = {"Image": "an image", "Audio": "a sound", "Video": "a video", "Pdf": "a PDF document"}
_LISTS = ("List", "LargeList", "Sequence")

# Time zones that are no places, which polars does not know.
_OFFSET = re.compile(r"[+-]\d\d:?\d\d")

# How much of a table is made into Python's values at once: rows, and bytes of text.
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
