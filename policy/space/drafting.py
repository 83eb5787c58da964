"""From a recipe back to the draft that stands for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from datachef.core.errors import DatachefError
from datachef.policy.space.nodes import Choice, Node, OneOf, Record, Selection, Sequence, Shared
from datachef.policy.space.steps import REASON, operator_of

# Whether a parameter of an operator has a value where a step does not write it.
Silent = Callable[[str, str, Any], bool]


def draft_of(
    root: Record, recipe: Mapping[str, Any], share: float | None, silent: Silent
) -> dict[str, Any]:
    """The draft of a space for a recipe, as plain data; weights become the nearest ones in
    proportion. The draft's share of the budget is the nearest to `share`, by default the largest.

    Raises `DatachefError` where a part of the recipe is not in the space.
    """
    selection = root.required["sources"]
    assert isinstance(selection, Selection)
    given: Mapping[str, Any] = recipe["sources"]
    for name in given:
        if name not in selection.fields:
            raise DatachefError(f"no source {name!r} in the space", "name it in the limits")
    mix = dict(recipe.get("mix") or {})
    weights = mix.pop("weights", None) or {}
    mix.pop("budget", None)
    draft: dict[str, Any] = {"sources": {}}
    for name, source in given.items():
        record = selection.fields[name]
        assert isinstance(record, Record)
        draft["sources"][name] = _stepped(record, source or {}, f"sources.{name}", silent)
    if "mix" in root.required:
        mix = mix or {"op": _first_mix(root.required["mix"])}
        draft["mix"] = _held(root.required["mix"], mix, "mix", silent)
        _weigh(draft["sources"], selection, weights)
    if "budget" in root.required:
        choice = root.required["budget"]
        assert isinstance(choice, Choice)
        wanted = max(choice.values) if share is None else share
        draft["budget"] = min(choice.values, key=lambda value: abs(value - wanted))
    draft |= _stepped(root, recipe, "", silent)
    arranged: dict[str, Any] = _arranged(root, draft)
    return arranged


def _stepped(record: Record, data: Mapping[str, Any], where: str, silent: Silent) -> dict[str, Any]:
    steps = list(data.get("steps") or ())
    node = record.required.get("steps")
    if not isinstance(node, Sequence):
        if steps:
            raise DatachefError(f"{where}: no steps are written here")
        return {}
    held = [
        _held(node.item, step, f"{where}.steps[{index}]".lstrip("."), silent)
        for index, step in enumerate(steps)
    ]
    if len(held) > node.most:
        raise DatachefError(f"{where}: more than {node.most} steps", "raise the limits")
    return {"steps": held}


def _held(node: Node, step: Mapping[str, Any], where: str, silent: Silent) -> Mapping[str, Any]:
    """A step as the space has it: with a reason, be it an empty one, where it asks for reasons, and
    without what goes without saying, but where every step says it."""
    for record in _records(node):
        if operator_of(record) == step["op"]:
            written = {
                name: value
                for name, value in step.items()
                if name in record.required or not silent(step["op"], name, value)
            }
            reason = {REASON: ""} if REASON in record.required else {}
            if record.holds({**reason, **written}):
                return {**reason, **written}
    raise DatachefError(
        f"{where} is not in the space: {step}",
        "offer the operator, and the values of its parameters, in the limits",
    )


def _records(node: Node) -> Iterator[Record]:
    if isinstance(node, Shared):
        yield from _records(node.node)
    elif isinstance(node, OneOf):
        for alternative in node.alternatives:
            yield from _records(alternative)
    elif isinstance(node, Record):
        yield node


def _weigh(
    sources: dict[str, dict[str, Any]], selection: Selection, weights: Mapping[str, float]
) -> None:
    """Gives sources the offered weights that are nearest to the given ones, all scaled alike."""
    record = selection.fields[next(iter(sources))]
    assert isinstance(record, Record) and isinstance(record.required["weight"], Choice)
    offered = record.required["weight"].values
    given = {name: float(weights.get(name, 1.0)) for name in sources}
    for name in [name for name, weight in given.items() if weight <= 0]:
        raise DatachefError(f"the weight of {name} is 0", "leave the source out")

    def nearest(weight: float) -> Any:
        return min(offered, key=lambda value: abs(math.log(value / weight)))

    def error(scale: float) -> float:
        scaled = [weight * scale for weight in given.values()]
        return sum(abs(math.log(nearest(weight) / weight)) for weight in scaled)

    scales = [value / weight for value in offered for weight in given.values()]
    scale = min(scales, key=lambda scale: (round(error(scale), 9), abs(math.log(scale))))
    for name, source in sources.items():
        source["weight"] = nearest(given[name] * scale)


def _first_mix(node: Node) -> str:
    assert isinstance(node, OneOf)
    record = node.alternatives[0]
    assert isinstance(record, Record) and isinstance(record.required["op"], Choice)
    return str(record.required["op"].values[0])


def _arranged(node: Node, value: Any) -> Any:
    """A value of the node with the fields of its objects in the order of the node."""
    if isinstance(node, Shared):
        return _arranged(node.node, value)
    if isinstance(node, OneOf):
        return _arranged(next(n for n in node.alternatives if n.holds(value)), value)
    if isinstance(node, Sequence):
        return [_arranged(node.item, item) for item in value]
    if isinstance(node, Record | Selection):
        fields = node.fields if isinstance(node, Selection) else {**node.required, **node.optional}
        return {name: _arranged(fields[name], value[name]) for name in fields if name in value}
    return value
