"""What is wrong with a document, from what pydantic says, in words for people."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task
from datachef.core.document import Document, Location
from datachef.core.errors import Problem, did_you_mean, dotted, shortened
from datachef.core.registry.host import Plugin, or_broken
from datachef.core.registry.vocabulary import Vocabulary

_CODES = {
    "extra_forbidden": "unknown_field",
    "missing": "missing_field",
    "union_tag_invalid": "unknown_operator",
    "union_tag_not_found": "missing_operator",
}
# Fields without which a recipe is still worth checking.
_OPTIONAL = {"description", "max_failed", "mix", "output", "rejects", "seed", "tokenizer"}


def problems_of(
    error: ValidationError,
    document: Document,
    model: type[BaseModel],
    vocabulary: Vocabulary,
    broken: list[Plugin],
) -> dict[Location, Problem]:
    """Every mistake that validation found, by its place in the document.

    What several types of one value say of it is one mistake.
    """
    found: dict[Location, Problem] = {}
    for item in error.errors(include_url=False):
        location = _place(item, document.data)
        problem = _problem(item, location, document, model, vocabulary, broken)
        if location in found and found[location].message != problem.message:
            problem = replace(problem, message=f"{found[location].message}, or {problem.message}")
        found[location] = document.locate(problem, location)
    return found


def _place(item: Any, data: Any) -> Location:
    """Where an error of pydantic stands in the document."""
    loc = item["loc"]
    if item["type"] == "missing":
        return (*_in_document(loc[:-1], data), loc[-1])
    if item["type"] == "union_tag_invalid":
        return (*_in_document(loc, data), "op")
    return _in_document(loc, data)


def _in_document(loc: tuple[str | int, ...], data: Any) -> Location:
    """A pydantic location without the tags of unions and the marks of keys, which are not written.

    A tag may be spelled like a field (`path`): of all readings, the one that leads furthest.
    """
    if not loc:
        return ()
    part, rest = loc[0], loc[1:]
    written = (part, *_in_document(rest, data[part])) if _holds(data, part) else ()
    return max(_in_document(rest, data), written, key=len)


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, Mapping) and part in data


def _problem(
    item: Any,
    location: Location,
    document: Document,
    model: type[BaseModel],
    vocabulary: Vocabulary,
    broken: list[Plugin],
) -> Problem:
    kind, context, path = item["type"], item.get("ctx", {}), dotted(location)
    code = _CODES.get(kind, kind)
    if kind == "extra_forbidden":
        name = str(location[-1]) if location else ""
        known = _known_fields(
            _value_at(document.data, location[:-1]), location[:-1], model, vocabulary
        )
        hint = did_you_mean(name, known)
        if location[0] == "sources" and len(location) == 3:
            hint = or_broken(hint, broken)
        return Problem(code, f"unknown field {shortened(name)}", path, hint)
    if kind == "missing":
        name = str(item["loc"][-1])
        return Problem(code, f"the field {name!r} is missing", path, f"add `{name}: ...`")
    if kind == "union_tag_invalid":
        return _unknown_operator(str(context.get("tag", "")), location, vocabulary, broken)
    if kind == "union_tag_not_found":
        return Problem(
            code, "a step has no operator", path, "add `op: ...`, with the name of an operator"
        )
    if kind == "literal_error" and location and location[-1] == "op":
        return _unknown_operator(str(item["input"]), location, vocabulary, broken)
    if kind == "literal_error" and issubclass(model, Task) and location == ("metric",):
        name = str(item["input"])
        hint = or_broken(did_you_mean(name, vocabulary.metrics), broken)
        return Problem("unknown_metric", f"there is no metric {shortened(name)}", path, hint)
    if kind == "source_kind":
        hint = (
            "or name a source of the pool, with none of these fields"
            if "path" in vocabulary.source_keys
            else ""
        )
        return Problem(code, item["msg"], path, or_broken(hint, broken))
    message = item["msg"].removeprefix("Value error, ")
    shown = repr(item["input"])
    if kind.endswith(("_type", "_parsing", "than", "equal", "error", "format")) and len(shown) < 80:
        message = f"{message}, got {shown}"
    return Problem(code, message[:1].lower() + message[1:], path)


def _unknown_operator(
    name: str, location: Location, vocabulary: Vocabulary, broken: list[Plugin]
) -> Problem:
    """An operator that nobody registered, or that is of no use at this place."""
    mix = location[:1] == ("mix",)
    if name in vocabulary:
        message = f"{name} is a {vocabulary[name].shape} operator"
        hint = "use it as a step" if mix else "use it in `mix:`"
    else:
        message = f"unknown operator {shortened(name)}"
        fitting = [known for known in vocabulary if (vocabulary[known].shape == "mix") == mix]
        hint = vocabulary.peer_name(name) or or_broken(did_you_mean(name, fitting), broken)
    return Problem("unknown_operator", message, dotted(location), hint)


def _value_at(data: Any, location: Location) -> Any:
    for part in location:
        data = data[part]
    return data


def _known_fields(
    value: Any, location: Location, model: type[BaseModel], vocabulary: Vocabulary
) -> set[str]:
    """The fields that may stand in the mapping at `location`."""
    if not location:
        return _names(model)
    name = value.get("op") if isinstance(value, Mapping) else None
    if isinstance(name, str) and name in vocabulary:
        return set(vocabulary[name].model_fields)
    if location[0] == "sources" and len(location) == 2:
        return (
            _names(Source)
            | set(vocabulary.source_keys)
            | {
                name
                for key in vocabulary.source_keys
                for name in vocabulary.source_type(key).model_fields
            }
        )
    field = model.model_fields.get(str(location[0]))
    inner = field.annotation if field else None
    if len(location) == 1 and isinstance(inner, type) and issubclass(inner, BaseModel):
        return _names(inner)
    return set()


def _names(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def salvage(
    data: Any, mistakes: Mapping[Location, Problem]
) -> tuple[Any, dict[Location, list[int]]] | None:
    """The document without the steps and fields that are wrong.

    Also returns, for every list that lost steps, the earlier places of the steps that remain. None
    where a mistake touches what everything else depends on.
    """
    data = copy.deepcopy(data)
    wrong_steps: dict[Location, set[int]] = {}
    for mistake, problem in mistakes.items():
        if step := _step_of(mistake):
            wrong_steps.setdefault(step[:-1], set()).add(int(step[-1]))
        elif mistake and mistake[0] in _OPTIONAL:
            data.pop(mistake[0], None)
        elif problem.code != "unknown_field" or not _drop(data, mistake):
            return None
    kept = {}
    for place, wrong in wrong_steps.items():
        holder = _reach(data, place[:-1])
        steps = holder[place[-1]]
        kept[place] = [index for index in range(len(steps)) if index not in wrong]
        holder[place[-1]] = [steps[index] for index in kept[place]]
    return data, kept


def _step_of(mistake: Location) -> Location | None:
    """The step in which a mistake lies."""
    for start in (0, 2):
        inside = mistake[start : start + 1] == ("steps",) and len(mistake) > start + 1
        if (
            inside
            and isinstance(mistake[start + 1], int)
            and (start == 0) == (mistake[0] == "steps")
        ):
            return mistake[: start + 2]
    return None


def _drop(data: Any, mistake: Location) -> bool:
    """Drops a field that the recipe or a source should not have."""
    at_top = len(mistake) == 1
    in_source = len(mistake) == 3 and mistake[0] == "sources"
    if not (at_top or in_source):
        return False
    holder = _reach(data, mistake[:-1])
    return isinstance(holder, dict) and holder.pop(mistake[-1], None) is not None


def _reach(data: Any, place: Location) -> Any:
    for part in place:
        data = data[part]
    return data
