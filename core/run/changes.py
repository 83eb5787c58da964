"""What a recipe's results depended on when it last ran, and what of it is different now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.run.plan import Plan
from datachef.core.run.stage import key_of
from datachef.core.run.store import Store

Parts = Mapping[str, Any]

# The place of what all results depend on.
EVERYWHERE = ""
_DIGEST = re.compile(r"[0-9a-f]{32}")
_SHOWN = 40
_NAMED = 3


def parts_of(plan: Plan) -> dict[str, Parts]:
    """By place in the recipe, all that the keys of a plan are made of, in the order of the data."""
    places: dict[str, dict[str, Any]] = {EVERYWHERE: dict(plan.environment)}
    for phase in plan.phases:
        for item in phase.partitions:
            stage = item.stage
            if (source := stage.source) is not None and item.partitions:
                place = f"sources.{source.name}"
                known = places.setdefault(
                    place,
                    {**source.identity, "op": "read", "format": source.format, "input": {},
                     "columns": dict(source.kinds)},
                )  # fmt: skip
                for partition in item.partitions:
                    known["input"].setdefault(partition.name, []).append(partition.identity)
            for step in stage.all_steps:
                places.setdefault(step.path, dict(step.identity))
            if stage.output is not None:
                places.setdefault("output", {"op": "write", "parameters": asdict(stage.output)})
        for decision in phase.decisions:
            places[decision.step.path]["seed"] = decision.seed
    for parts in places.values():
        if "input" in parts:
            parts["input"] = {name: key_of(found) for name, found in parts["input"].items()}
    return orjson.loads(orjson.dumps(places))  # type: ignore[no-any-return]


def remember(store: Store, checked: CheckedRecipe, plan: Plan) -> None:
    """Keeps the parts of a plan in the cache, once all of it is done."""
    store.remember(_name(checked), parts_of(plan))


def changes(store: Store, checked: CheckedRecipe, plan: Plan) -> dict[str, list[str]] | None:
    """What changed since the recipe last ran, in words by place; None where it never ran.

    A place is that of a source, a step or the output, or `EVERYWHERE`.
    """
    before: dict[str, Parts] | None = store.recall(_name(checked))
    if before is None:
        return None
    now = parts_of(plan)
    found = {place: list(_differences(before.get(place), parts)) for place, parts in now.items()}
    found |= {place: ["removed"] for place in before if place not in now}
    return {place: said for place, said in found.items() if said}


def _name(checked: CheckedRecipe) -> str:
    file = str(Path(checked.document.file).absolute())
    return f"recipes/{key_of(file, checked.recipe.name)}.json"


def _differences(before: Parts | None, now: Parts) -> Iterator[str]:
    if before is None:
        yield "new"
        return
    if before.get("op") != now.get("op"):
        yield f"was {before.get('op')}"
        return
    yield from _code(before.get("code", {}), now.get("code", {}))
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new or name == "code":
            continue
        if name == "parameters":
            yield f"parameters changed ({_several(list(_values(old or {}, new or {})))})"
        elif name == "input":
            yield f"input changed ({_several(list(_inputs(old or {}, new or {})))})"
        elif name == "files":
            yield "a file that it reads changed"
        elif name == "package":
            yield from _packages(old or {}, new or {})
        elif name == "core":
            yield "the code of datachef changed"
        elif isinstance(old, str | int) and isinstance(new, str | int):
            yield f"{name} {old} → {new}"
        else:
            yield f"{name} changed"


def _code(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Modules have digests, packages that they use have versions."""
    both = {name: (before.get(name, ""), now.get(name, "")) for name in sorted({*before, *now})}
    changed = {name: pair for name, pair in both.items() if pair[0] != pair[1]}
    modules = [name for name, pair in changed.items() if _DIGEST.fullmatch(pair[0] or pair[1])]
    if modules:
        yield f"code changed ({_several(modules)})"
    for name in changed.keys() - set(modules):
        old, new = changed[name]
        yield f"{name} {old or 'not used'} → {new or 'not used'}"


def _packages(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = (said.get(name, "").partition(" ")[0] or "none" for said in (before, now))
        yield f"{name} {old} → {new}" if old != new else f"{name} {new} has other files"


def _values(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} {_short(before.get(name))} → {_short(now.get(name))}"


def _inputs(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if name not in now:
            yield f"{name} is gone"
        elif name not in before:
            yield f"{name} is new"
        elif before[name] != now[name]:
            yield name


def _short(value: Any) -> str:
    said = orjson.dumps(value).decode()
    return said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"


def _several(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
