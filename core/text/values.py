"""One conversion table: how a value of any type becomes text, a number, or JSON.

Sources give rows whose values are plain (`str`, `bool`, `int`, `float`, `None`, lists and objects
of them) or of another type of Python; docs/recipes.md shows what becomes of each.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import re
import uuid
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import orjson

from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE, RowError
from datachef.core.system.containment import ENDINGS

# The integers that a column holds as numbers; others are kept as their digits.
SMALLEST, LARGEST = -(2**63), 2**63 - 1
# Every integer up to here is a double as well.
LARGEST_EXACT = 2**53
# A field within a composition of fields.
SLOT = re.compile(r"\{([^{}]+)\}")
# Lists and objects in each other; Pythons differ in how deep they go by themselves.
DEEPEST = 400

_JSON = (
    orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_NON_STR_KEYS
)


class NumberText(str):
    """A number as it was written, which neither 64 bits nor a double hold: no quotes in JSON."""

    __slots__ = ()


class Unsupported:
    """Stands for a value that a source cannot give as data; `what` says what it is."""

    def __init__(self, what: str) -> None:
        self.what = what


class UnsupportedValueError(ValueError):
    """A value that is neither text, nor a number, nor made of such."""


def plain(value: Any) -> Any:
    """The value as text, bool, int, float, None, list or dict, of which the parts may be anything.

    Raises `UnsupportedValueError` for what has no such form (an image, a sound, an open file).
    """
    if value is None or type(value) in (str, bool, int, float, list, dict, NumberText):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):  # what pandas calls missing
        return None
    convert = next((convert for kind, convert in _TABLE if isinstance(value, kind)), None)
    if convert is not None:
        return convert(value)
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":  # what numpy calls datetime64
        value = value.astype(str)
        return None if str(value) == "NaT" else value.tolist()
    for method in ("tolist", "to_list"):  # scalars and arrays of numpy, torch and polars
        if callable(getattr(value, method, None)):
            return plain(getattr(value, method)())
    if isinstance(value, Unsupported):
        raise UnsupportedValueError(f"{value.what}, which is not supported")
    name = type(value).__name__ if type(value).__module__ == "builtins" else _qualified(value)
    raise UnsupportedValueError(f"a value of type {name}, which is not supported")


def text_of(value: Any) -> str | None:
    """The value as text: strings as they are, everything else as JSON writes it.

    None stays None. Raises `UnsupportedValueError`.
    """
    value = plain(value)
    if value is None or type(value) is str:
        return value
    if isinstance(value, str):
        return str(value)
    if type(value) is float and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return json_text(value)


def json_text(value: Any) -> str:
    """The value as JSON. NaN and infinities inside lists and objects become null, as JSON has
    neither. Raises `UnsupportedValueError`."""
    try:
        return orjson.dumps(value, default=_for_json, option=_JSON).decode()
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error.__cause__, UnsupportedValueError):
            raise error.__cause__ from None
    return _written(value)


def _for_json(value: Any) -> Any:
    if isinstance(value, NumberText):
        return orjson.Fragment(str(value).encode())
    return plain(value)


def _written(value: Any, depth: int = 0) -> str:
    """What orjson does not write: integers beyond 64 bits, deep nesting."""
    if depth > DEEPEST:
        raise UnsupportedValueError("a value that is nested too deeply")
    value = plain(value)
    parts: list[str] = []
    # loops, since every comprehension would be a frame more at each depth
    if isinstance(value, dict):
        for key, inner in value.items():
            parts.append(f"{json_text(_key(key))}:{_written(inner, depth + 1)}")
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        for inner in value:
            parts.append(_written(inner, depth + 1))
        return "[" + ",".join(parts) + "]"
    if isinstance(value, NumberText):
        return str(value)
    if type(value) is int:
        return digits(value)
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:  # a lone surrogate
        raise UnsupportedValueError(f"text that is no Unicode: {error}") from error


def digits(value: int) -> str:
    """An integer in decimal, however long."""
    if -(10**4000) < value < 10**4000:
        return str(value)
    return format(decimal.Context(prec=decimal.MAX_PREC).create_decimal(value), "f")


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(text_of(key))


def _of_decimal(value: decimal.Decimal) -> Any:
    """A number where that keeps every digit, text otherwise."""
    if not value.is_finite():
        return float(value) if value.is_infinite() else math.nan
    if value.as_tuple().exponent == 0 and SMALLEST <= value <= LARGEST:
        return int(value)
    written = format(value, "f")
    as_float = float(value)
    exact = math.isfinite(as_float) and decimal.Decimal(repr(as_float)) == value
    return as_float if exact and value.as_tuple().exponent != 0 else NumberText(written)


def _of_time(value: datetime.datetime | datetime.time) -> str:
    fraction = value.microsecond
    whole = "auto" if fraction % 1000 or getattr(value, "nanosecond", 0) else "milliseconds"
    return value.isoformat(timespec=whole if fraction else "auto")


def _of_duration(value: datetime.timedelta) -> str:
    """ISO 8601, in days and below."""
    sign = "-" if value.days < 0 else ""
    value = abs(value)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    parts = ((hours, "H"), (minutes, "M"), (f"{seconds}{fraction}", "S"))
    time = "".join(f"{part}{unit}" for part, unit in parts if part not in (0, "0"))
    days = f"{value.days}D" if value.days else ""
    return f"{sign}P{days}" + (f"T{time}" if time else "" if days else "T0S")


def _of_set(value: Any) -> list[Any]:
    return sorted(value, key=json_text)


def _of_bytes(value: Any) -> str:
    return base64.b64encode(bytes(value)).decode()


# In this order: an enum may be a string as well, a point in time is a date too.
_TABLE: tuple[tuple[type | tuple[type, ...], Any], ...] = (
    (enum.Enum, lambda value: plain(value.value)),
    (str, str),
    (int, int),
    (float, float),
    (decimal.Decimal, _of_decimal),
    ((datetime.datetime, datetime.time), _of_time),
    (datetime.date, lambda value: value.isoformat()),
    (datetime.timedelta, _of_duration),
    ((bytes, bytearray, memoryview), _of_bytes),
    ((uuid.UUID, PurePath), str),
    (Mapping, lambda value: {_key(key): inner for key, inner in value.items()}),
    ((set, frozenset), _of_set),
    (tuple, list),
    (list, list),
)


def _qualified(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def described(value: Any) -> str:
    """A value in a few words: the name of a class, the kind and the text of anything else."""
    if isinstance(value, type):
        return value.__qualname__
    if value is None:
        return "None"
    try:
        text = " ".join(repr(value).split())
    except ENDINGS:
        text = "(it cannot be printed)"
    kind = type(value).__name__
    return f"the {kind} {text if len(text) <= 60 else text[:60] + '...'}"


def field_value(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        key: Any = int(part) if isinstance(value, list) and part.isdecimal() else part
        try:
            value = value[key]
        except (LookupError, TypeError):
            raise RowError("missing_field", f"no field {name!r}") from None
    return value


def field_text(value: Any, name: str) -> str:
    """The text of a field: numbers, dates and the like as `text_of` writes them, bytes as UTF-8."""
    if isinstance(value, str):
        return str(value)
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).decode()
        value = plain(value)
    except UnicodeDecodeError as error:
        detail = f"the field {name!r} holds bytes that are no text: {error}"
        raise RowError("not_utf8", detail) from error
    except UnsupportedValueError as error:
        raise RowError("unsupported_value", f"the field {name!r} holds {error}") from error
    if value is None:
        raise RowError("missing_field", f"the field {name!r} is null")
    if is_nan(value):
        raise RowError("missing_field", f"the field {name!r} is NaN")
    if isinstance(value, list | dict):
        raise RowError("schema_mismatch", f"the field {name!r} is not text")
    return str(text_of(value))


def is_nan(value: Any) -> bool:
    """How tables write that there is no value."""
    return isinstance(value, float) and math.isnan(value)


def composed_text(row: Mapping[str, Any], spec: str) -> str:
    """The text that a field, or a composition of fields, has in a row. Raises `RowError`."""
    if "{" not in spec:
        return field_text(field_value(row, spec), spec)
    left = MAX_ROW_BYTES

    def filled(slot: re.Match[str]) -> str:
        nonlocal left
        text = field_text(field_value(row, slot[1]), slot[1])
        left -= len(text)
        if left < 0:
            raise RowError(ROW_TOO_LARGE, f"its fields make more than {MAX_ROW_BYTES:,} characters")
        return text

    return SLOT.sub(filled, spec)
