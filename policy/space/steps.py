"""From an operator's class to the steps that may be written with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from datachef.core.operator import Operator
from datachef.policy.space.grids import values_of
from datachef.policy.space.limits import Limits
from datachef.policy.space.nodes import Choice, Node, Record, Text

REASON = "why"


class NotOfferedError(Exception):
    """Why no step can be written with an operator."""


def step(
    kind: type[Operator],
    limits: Limits,
    without: frozenset[str] = frozenset(),
    always: frozenset[str] = frozenset(),
) -> Record:
    """The steps of an operator: parameters that may be left out stand only where they differ from
    their default. Raises `NotOfferedError` where a required one has no values to choose from.

    Every value is valid, and any two of different parameters are valid together. `without` names
    parameters that are filled in elsewhere, `always` those that may not be left out here.
    """
    required: dict[str, Node] = {"op": Choice((kind.name(),))}
    if limits.reason_characters:
        required = {REASON: Text(limits.reason_characters), **required}
    optional: dict[str, Node] = {}
    for name, values in _values(kind, limits, without).items():
        field = kind.model_fields[name]
        if field.is_required() or name in always or len(values) == 1:
            required[name] = Choice(values)
        elif others := tuple(value for value in values if not same(value, field.get_default())):
            optional[name] = Choice(others)
    return Record(required, optional)


def operator_of(record: Record) -> str:
    """The name of the operator that steps are written with."""
    op = record.required["op"]
    assert isinstance(op, Choice)
    return str(op.values[0])


def simplest(record: Record) -> dict[str, Any]:
    """A step without what may be left out."""
    return {
        name: node.values[0] for name, node in record.required.items() if isinstance(node, Choice)
    }


def _values(
    kind: type[Operator], limits: Limits, without: frozenset[str]
) -> dict[str, tuple[Any, ...]]:
    schema = kind.model_json_schema(by_alias=True)
    own = set(kind.model_fields) - _inherited(kind)
    found: dict[str, tuple[Any, ...]] = {}
    for name, field in kind.model_fields.items():
        given = limits.parameters.get(f"{kind.name()}.{name}")
        if name == "op" or name in without:
            continue
        if given is not None:
            found[name] = given
        elif name in own or field.is_required():
            described = schema["properties"][field.alias or name]
            found[name] = values_of(described, schema.get("$defs", {}), limits.values)
        if field.is_required() and not found[name]:
            raise NotOfferedError(f"name values of {kind.name()}.{name} under parameters")
    return _compatible(kind, {name: values for name, values in found.items() if values})


def _inherited(kind: type[Operator]) -> set[str]:
    """Parameters that all operators of a shape have are the business of whoever runs a recipe."""
    shapes = [base for base in kind.__mro__ if base.__module__.startswith("datachef.core.")]
    return {name for shape in shapes if issubclass(shape, Operator) for name in shape.model_fields}


def _compatible(
    kind: type[Operator], offered: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:
    """The values without those that some value of an earlier parameter excludes."""
    base = {
        name: values[0] for name, values in offered.items() if kind.model_fields[name].is_required()
    }
    kept: dict[str, tuple[Any, ...]] = {}
    for name, values in offered.items():
        kept[name] = tuple(
            value
            for value in values
            if _valid(kind, {**base, name: value})
            and all(
                _valid(kind, {**base, earlier: other, name: value})
                for earlier, others in kept.items()
                for other in others
            )
        )
        if not kept[name] and name in base:
            raise NotOfferedError(f"no value of {kind.name()}.{name} is valid")
    return {name: values for name, values in kept.items() if values}


def _valid(kind: type[Operator], parameters: dict[str, Any]) -> bool:
    try:
        kind.model_validate({"op": kind.name(), **parameters})
    except ValidationError:
        return False
    return True


def same(value: Any, default: Any) -> bool:
    """Whether they are equal, true not being the number 1."""
    return bool(value == default) and (isinstance(default, bool) or not isinstance(value, bool))
