"""What differs between two recipes, and in what their corpora were made with and of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from datachef.core import FinishedRun


@dataclass(frozen=True)
class RecipeChange:
    """A place of which two runs say something else; `before` or `after` is None where it is not
    there, and both where the two are too long to show."""

    path: str
    before: Any
    after: Any


def recipe_changes(before: FinishedRun, after: FinishedRun) -> list[RecipeChange]:
    """What differs between the recipes of two runs, the samples that they ran on, the content of
    their sources, and the operators and versions that they were made with."""
    one, other = before.manifest, after.manifest
    found = list(_differences("", before.recipe, after.recipe))
    found += _differences("samples", one.get("samples", {}), other.get("samples", {}))
    inputs = [manifest.get("inputs", {}) for manifest in (one, other)]
    found += [
        RecipeChange(f"content of the source {name}", None, None)
        for name in sorted(set.intersection(*map(set, inputs)))
        if _content(inputs[0][name]) != _content(inputs[1][name])
    ]
    for name in ("datachef", "polars", "operators"):
        found += _differences(name, one.get(name), other.get(name))
    codes = [manifest.get("code", {}) for manifest in (one, other)]
    found += [
        RecipeChange(f"code of {name}", None, None)
        for name in sorted(set.intersection(*map(set, codes)))
        if codes[0][name] != codes[1][name]
    ]
    return found


def _content(source: Mapping[str, Any]) -> Any:
    """What was read of a source, without how it is formatted, which the recipe says."""
    return [[part["name"], part["bytes"], part["identity"]] for part in source["partitions"]]


def _differences(path: str, before: Any, after: Any) -> Iterator[RecipeChange]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            inner = f"{path}.{name}" if path else name
            yield from _differences(inner, before.get(name), after.get(name))
    elif _are_steps(before) and _are_steps(after):
        yield from _steps(path, before, after)
    else:
        yield RecipeChange(path, before, after)


def _are_steps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(s, Mapping) and "op" in s for s in value)


def _steps(
    path: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[RecipeChange]:
    """Steps are compared with those of the same operator, in the order in which they stand."""
    old_ops, new_ops = ([str(step["op"]) for step in steps] for steps in (before, after))
    for kind, a, b, c, d in SequenceMatcher(None, old_ops, new_ops, autojunk=False).get_opcodes():
        if kind == "equal":
            for old, (place, new) in zip(before[a:b], enumerate(after[c:d], c), strict=True):
                yield from _differences(f"{path}[{place}]", old, new)
            continue
        for place, step in enumerate(before[a:b], a):
            yield RecipeChange(f"{path}[{place}]", step, None)
        for place, step in enumerate(after[c:d], c):
            yield RecipeChange(f"{path}[{place}]", None, step)
