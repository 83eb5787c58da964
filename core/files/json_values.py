"""JSON with every number as it was written, which the fast parser does not promise."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from datachef.core.system_errors import raise_environment_failure
from datachef.core.values import LARGEST, SMALLEST, NumberText

_BEYOND = 2**63


def loads(raw: bytes) -> Any:
    """The value of a JSON text; numbers that neither 64 bits nor a double hold are `NumberText`.

    Also takes `NaN` and `Infinity`, which are no JSON but what Python and pandas write. Of a key
    that is given twice the last value counts, as in most readers. Raises `orjson.JSONDecodeError`.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):  # Pythons differ in how deep they would go
            raise
        raise_environment_failure(error)
        try:
            return _exactly(raw)
        except (ValueError, RecursionError):
            raise error from None
    try:
        return _exactly(raw) if _may_be_rounded(data) else data
    except RecursionError:  # what is nested that deep is no row's content
        return data


def _may_be_rounded(value: Any) -> bool:
    """Whether there is a number that may have been an integer too long for 64 bits."""
    kind = type(value)
    if kind is float:
        return bool(value >= _BEYOND or value <= -_BEYOND)
    if kind is dict:
        for inner in value.values():
            kind = type(inner)
            if (kind is float or kind is list or kind is dict) and _may_be_rounded(inner):
                return True
    elif kind is list and value:
        try:
            # of a list of plain numbers, such as an embedding, the ends tell at the speed of C
            largest, smallest = max(value), min(value)
        except TypeError:
            return any(map(_may_be_rounded, value))
        if isinstance(largest, list | dict):
            return any(map(_may_be_rounded, value))
        return _may_be_rounded(largest) or _may_be_rounded(smallest)
    return False


def _exactly(raw: bytes) -> Any:
    data = json.loads(raw.decode(), parse_int=_integer, parse_float=_fraction)
    # half a surrogate pair is no text
    json.dumps(data, ensure_ascii=False).encode()
    return data


def _integer(digits: str) -> int | NumberText:
    if len(digits) > len(str(SMALLEST)):
        return NumberText(digits)
    value = int(digits)
    return value if SMALLEST <= value <= LARGEST else NumberText(digits)


def _fraction(digits: str) -> float | NumberText:
    value = float(digits)
    return value if math.isfinite(value) else NumberText(digits)
