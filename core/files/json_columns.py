"""Columns of Parquet's type for JSON: their values, which polars reads as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

Decoder = Callable[[Any], Any]


def decoder(dtype: pl.DataType) -> Decoder | None:
    """What turns a value of a column into one without JSON text; None where it has none."""
    import polars as pl

    if isinstance(dtype, pl.BaseExtension):
        return _loaded if dtype.ext_name() == "arrow.json" else None
    if isinstance(dtype, pl.List | pl.Array):
        inner = decoder(dtype.inner)  # type: ignore[arg-type]
        return None if inner is None else _each(inner)
    if isinstance(dtype, pl.Struct):
        found = {field.name: decoder(field.dtype) for field in dtype.fields}  # type: ignore[arg-type]
        fields = {name: each for name, each in found.items() if each is not None}
        return _fields(fields) if fields else None
    return None


def rows_of(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a frame as dictionaries, JSON as what it says."""
    decode = _fields({n: each for n, d in frame.schema.items() if (each := decoder(d))})
    yield from map(decode, frame.iter_rows(named=True))


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _each(inner: Decoder) -> Decoder:
    return lambda values: None if values is None else [inner(value) for value in values]


def _fields(inner: Mapping[str, Decoder]) -> Decoder:
    if not inner:
        return lambda row: row

    def decode(row: Any) -> Any:
        return row and {**row, **{name: each(row[name]) for name, each in inner.items()}}

    return decode
