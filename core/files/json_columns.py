"""Columns of Parquet's type for JSON: their values, which polars reads as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from datachef.core.files.json_values import loads

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


def _loaded(value: Any) -> Any:
    return loads(value.encode()) if isinstance(value, str) else value


def _each(inner: Decoder) -> Decoder:
    return lambda values: None if values is None else [inner(value) for value in values]


def _fields(inner: Mapping[str, Decoder]) -> Decoder:
    if not inner:
        return lambda row: row

    def decode(row: Any) -> Any:
        return row and {**row, **{name: each(row[name]) for name, each in inner.items()}}

    return decode
