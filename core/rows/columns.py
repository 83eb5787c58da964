"""One rule for the type of a column, whatever rows, files and sources it comes from.

Types widen: null to any, int to float, and whatever else meets to text. Integers become doubles
only where each of them is one; otherwise the column is text, in which no digit is lost. Text is
what `text_of` makes of a value, but for whole doubles, which are written as the integers that they
may have been: so it is the same for a value whatever it was beside when it was first met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from datachef.core.text.values import LARGEST, LARGEST_EXACT, SMALLEST, text_of

# What is seen of single values; `wide` is an integer that is no double.
INT, WIDE, FLOAT, BOOL, TEXT = "int", "wide", "float", "bool", "text"
NULL = "null"
NUMERIC = frozenset((INT, WIDE, FLOAT))
DTYPES: dict[str, Any] = {
    NULL: pl.Null(), BOOL: pl.Boolean(), INT: pl.Int64(), FLOAT: pl.Float64(), TEXT: pl.String(),
}  # fmt: skip
_KIND_OF_TYPE: dict[Any, str] = {bool: BOOL, float: FLOAT}


def common(kinds: Iterable[str]) -> str:
    """The type of a column that holds values of these kinds."""
    met = set(kinds) - {NULL}
    if not met:
        return NULL
    if met <= {INT, WIDE}:
        return INT
    if met <= {INT, FLOAT}:
        return FLOAT
    return met.pop() if len(met) == 1 else TEXT


def kind_of(value: Any) -> str:
    """The kind of one value that `plain` made or would leave as it is."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOL
        case int():
            if -LARGEST_EXACT <= value <= LARGEST_EXACT:
                return INT
            return WIDE if SMALLEST <= value <= LARGEST else TEXT
        case float():
            return FLOAT
    return TEXT


def kinds_of(values: Sequence[Any]) -> set[str]:
    """The kinds of many plain values, quickly where they are of one type."""
    types = set(map(type, values)) - {type(None)}
    if int not in types:
        return {_KIND_OF_TYPE.get(kind, TEXT) for kind in types}
    return {kind_of(value) for value in values} - {NULL}


def series(name: str, values: Sequence[Any], kind: str) -> pl.Series:
    """Plain values as a column of a kind that all of them fit."""
    if kind != TEXT:
        return pl.Series(name, values, dtype=DTYPES[kind], strict=kind != FLOAT)
    texts = [value if type(value) is str else _text(value) for value in values]
    try:
        return pl.Series(name, texts, dtype=pl.String)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file of ours can hold
        escaped = [t and t.encode(errors="backslashreplace").decode() for t in texts]
        return pl.Series(name, escaped, dtype=pl.String)


def kinds_in(column: pl.Series) -> set[str]:
    """The kinds of the values of a column."""
    dtype = column.dtype
    if dtype == pl.Null or column.null_count() == len(column):
        return set()
    if dtype == pl.Boolean:
        return {BOOL}
    if dtype.is_float():
        return {FLOAT}
    if dtype.is_integer():
        return {kind_of(column.min()), kind_of(column.max())}
    return {TEXT}


def concat(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames one below the other; columns that some lack are null there, types widen."""
    if len(frames) == 1:
        return frames[0]
    schema: dict[str, Any] = {}
    for name in dict.fromkeys(name for frame in frames for name in frame.columns):
        columns = [frame[name] for frame in frames if name in frame.columns]
        dtypes = {column.dtype for column in columns} - {pl.Null()}
        if len(dtypes) > 1:
            schema[name] = common_dtype(dtypes, set().union(*map(kinds_in, columns)))
        else:
            schema[name] = dtypes.pop() if dtypes else pl.Null()
    return pl.concat([conformed(frame, schema) for frame in frames])


def common_dtype(dtypes: set[Any], kinds: set[str]) -> Any:
    """The dtype for columns of several dtypes, of which the values are of these kinds."""
    if all(dtype.is_nested() for dtype in dtypes):
        with suppress(pl.exceptions.PolarsError):
            empty = [pl.DataFrame(schema={"": dtype}) for dtype in sorted(dtypes, key=str)]
            return pl.concat(empty, how="vertical_relaxed").schema[""]
    kind = common(kinds)
    return DTYPES[kind] if kind != NULL else min(dtypes, key=str)


def conformed(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    """Exactly the columns of the schema, each in its dtype, widened where it was narrower."""
    height = frame.height
    return pl.DataFrame(
        {
            name: widened(frame[name], dtype)
            if name in frame.columns
            else pl.repeat(None, height, dtype=dtype, eager=True)
            for name, dtype in schema.items()
        }
    )


def widened(column: pl.Series, dtype: Any) -> pl.Series:
    """A column in a dtype that holds all its values."""
    if column.dtype == dtype:
        return column
    if dtype != pl.String or column.dtype.is_integer() or column.dtype in (pl.Null, pl.Boolean):
        return column.cast(dtype)
    return pl.Series(column.name, map(_text, column.to_list()), dtype=pl.String)


def _text(value: Any) -> str | None:
    """A value of a column as text."""
    if type(value) is float and value.is_integer() and abs(value) <= LARGEST_EXACT:
        return "-0.0" if str(value) == "-0.0" else str(int(value))
    return text_of(value)
