"""A few values for a parameter, out of all that its type allows."""

from __future__ import annotations

from typing import Any

_DOUBLINGS = (-3, -2, -1, 0, 1, 2, 3)


def values_of(schema: dict[str, Any], definitions: dict[str, Any], most: int) -> tuple[Any, ...]:
    """Values worth trying of a parameter with this JSON Schema, the default among them.

    Its `examples` where the author gives some, every value of a boolean or enumeration, and up to
    `most` of a bounded number: multiples of a positive default, powers of ten or even steps
    otherwise. None of what is open: text without examples, lists, objects.
    """
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]] | {**schema, "$ref": None}
    if schema.get("examples"):
        return tuple(schema["examples"])
    if "enum" in schema or "const" in schema:
        return tuple(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return values_of({**kinds[0], **rest}, definitions, most) if len(kinds) == 1 else ()
    if schema.get("type") == "boolean":
        return (False, True)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if schema.get("type") not in ("integer", "number") or low is None or high is None:
        return ()
    whole = schema["type"] == "integer"
    return _numbers(schema.get("default"), low, high, whole=whole, most=most)


def _numbers(
    default: float | None, low: float, high: float, *, whole: bool, most: int
) -> tuple[float, ...]:
    if whole and high - low < most:
        return tuple(range(int(low), int(high) + 1))
    if default is not None and default > 0:
        doublings = sorted(_DOUBLINGS, key=abs)[:most]
        found = [default * 2.0**doubling for doubling in doublings]
    elif whole and low >= 0:
        found = [10.0**power for power in range(most) if low <= 10.0**power <= high]
    else:
        found = [low + (high - low) * step / (most - 1) for step in range(most)]
    written = {min(max(_written(value, whole=whole), low), high) for value in found}
    if default is not None:
        written.add(default)
    return tuple(sorted(written))


def _written(value: float, *, whole: bool) -> float:
    """Two digits are as fine as anybody tunes."""
    return round(value) if whole else float(f"{value:.2g}")
