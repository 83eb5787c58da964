"""From an operator's class to the steps that may be written with it: which parameters, and which
values of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from datachef.core.contracts.code_permission import allowed_code
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.recipe import LanguageModelCaps
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.registry.promises import is_unready
from datachef.policy.settings import GrammarLimits
from datachef.policy.space.nodes import Choice, Node, Record, Text, same_value

REASON = "why"


class NotOfferedError(Exception):
    """No step can be written with an operator; the message says why."""


def step_node(
    kind: type[Operator],
    limits: GrammarLimits,
    without: frozenset[str] = frozenset(),
    always: frozenset[str] = frozenset(),
) -> Record:
    """The steps of an operator. A parameter is written only if it differs from its default.

    Every value is valid, and so is every pair of values of two parameters. None needs an asset, a
    model that takes long for every row, or a package that is not there, unless the operator always
    does or the limits name it. `without` names parameters that are filled in elsewhere, `always`
    those that must be written. Raises `NotOfferedError` if a required parameter has no values to
    choose from.
    """
    required: dict[str, Node] = {"op": Choice((kind.name(),))}
    if limits.reason_characters:
        required = {REASON: Text(limits.reason_characters), **required}
    optional: dict[str, Node] = {}
    for name, values in _values(kind, limits, without).items():
        field = kind.model_fields[name]
        if field.is_required() or name in always or len(values) == 1:
            required[name] = Choice(values)
        elif others := tuple(
            value for value in values if not same_value(value, field.get_default())
        ):
            optional[name] = Choice(others)
    return Record(required, optional)


def operator_name(record: Record) -> str:
    """The operator that these steps are written with."""
    op = record.required["op"]
    assert isinstance(op, Choice)
    return str(op.values[0])


def minimal_step(record: Record) -> dict[str, Any]:
    """A step with only the parameters that it must have."""
    return {
        name: node.values[0] for name, node in record.required.items() if isinstance(node, Choice)
    }


def _values(
    kind: type[Operator], limits: GrammarLimits, without: frozenset[str]
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
            found[name] = candidate_values(described, schema.get("$defs", {}), limits.values)
            if not field.is_required() and all(
                same_value(value, field.get_default()) for value in found[name]
            ):
                found[name] = ()  # its examples say that nothing but the default is worth trying
        if field.is_required() and not found[name]:
            raise NotOfferedError(f"name values of {kind.name()}.{name} under parameters")
    offered = {name: values for name, values in found.items() if values}
    return _compatible(kind, _at_hand(kind, offered, limits))


def _inherited(kind: type[Operator]) -> set[str]:
    """The parameters that all operators of a shape have: they are for whoever runs the recipe."""
    shapes = [base for base in kind.__mro__ if base.__module__.startswith("datachef.core.")]
    return {name for shape in shapes if issubclass(shape, Operator) for name in shape.model_fields}


def _compatible(
    kind: type[Operator], offered: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:
    """The values, without those that are invalid together with a value of an earlier parameter."""
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


def _at_hand(
    kind: type[Operator], offered: Mapping[str, tuple[Any, ...]], limits: GrammarLimits
) -> Mapping[str, tuple[Any, ...]]:
    """The values, without those that alone need an asset, a package that is missing here, or leave
    to run code."""
    base = {
        name: values[0] for name, values in offered.items() if kind.model_fields[name].is_required()
    }
    if not _valid(kind, base) or _needs_more(kind, base):
        return offered
    kept = {}
    for name, values in offered.items():
        chosen = f"{kind.name()}.{name}" in limits.parameters
        kept[name] = tuple(
            value for value in values if chosen or not _needs_more(kind, {**base, name: value})
        )
    return kept


def _needs_more(kind: type[Operator], parameters: dict[str, Any]) -> bool:
    """Whether these parameters need an asset, a package that is missing, or leave to run code."""
    if not _valid(kind, parameters):
        return False
    operator = kind.model_validate({"op": kind.name(), **parameters})
    may_run = allowed_code() or not operator.runs_code()
    return bool(operator.assets()) or is_unready(operator) or not may_run


_DOUBLINGS = (-3, -2, -1, 0, 1, 2, 3)


def candidate_values(
    schema: dict[str, Any], definitions: dict[str, Any], most: int
) -> tuple[Any, ...]:
    """Values worth trying for a parameter with this JSON Schema, including the default.

    These are its `examples` if there are any, all values of a boolean or an enumeration, and up to
    `most` values of a bounded number: multiples of a positive default, otherwise powers of ten or
    even steps. Text without examples, lists and objects have none.
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
        return candidate_values({**kinds[0], **rest}, definitions, most) if len(kinds) == 1 else ()
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
    """The value with two significant digits: nobody tunes finer."""
    return round(value) if whole else float(f"{value:.2g}")


Fits = Callable[[Any], bool]


def within_caps(
    kind: type[Operator], limits: GrammarLimits, caps: LanguageModelCaps, places: int
) -> tuple[GrammarLimits, frozenset[str]]:
    """The limits, with values that the caps on language models allow for an operator's parameters,
    and the parameters that must be written because the caps do not allow their default.

    `places` is the largest number of steps in a draft. Each step gets an equal part of the token
    budget, so that all of them stay within it. Raises `NotOfferedError` if the caps allow nothing.
    """
    if not issubclass(kind, Synthesis):
        return limits, frozenset()
    if caps.models is None or caps.budget_tokens is None:
        why = "language_models of the pool, or the environment, has to name models and a budget"
        raise NotOfferedError(f"{why} for {kind.name()}.model")
    share = caps.budget_tokens // max(places, 1)
    most = {"budget_tokens": share, **_number_caps(caps)}
    allowed: dict[str, tuple[tuple[Any, ...], Fits]] = {
        name: ((number,) if number else (), _at_most(number)) for name, number in most.items()
    }
    allowed["model"] = (caps.models, caps.models.__contains__)
    if caps.backends is not None:
        allowed["backend"] = (caps.backends, caps.backends.__contains__)
    parameters, always = dict(limits.parameters), set()
    for name, (values, fits) in allowed.items():
        key, usual = f"{kind.name()}.{name}", kind.model_fields[name].get_default()
        if key not in parameters and fits(usual):
            continue
        kept = tuple(value for value in parameters.get(key, values) if fits(value))
        if not kept:
            raise NotOfferedError(f"the caps on language models allow no value of {key}")
        parameters[key] = kept
        if not any(same_value(value, usual) for value in kept):
            always.add(name)
    return limits.model_copy(update={"parameters": parameters}), frozenset(always)


def _number_caps(caps: LanguageModelCaps) -> dict[str, int]:
    found = {name: getattr(caps, name) for name in ("max_tokens", "max_concurrency")}
    return {name: number for name, number in found.items() if number is not None}


def _at_most(number: int) -> Fits:
    return lambda said: isinstance(said, int) and said <= number
