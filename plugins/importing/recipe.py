"""Pipelines of other libraries as recipes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from datachef.core.registry.vocabulary import Vocabulary
from datachef.plugins.importing.pipelines import OperatorCall, Pipeline
from datachef.plugins.importing.table import RULES_OFF, equivalent, reason_without


@dataclass(frozen=True)
class ImportRemark:
    """What of a pipeline has no equivalent, is different, or is left to do, and where it stands."""

    place: str
    name: str
    kind: Literal["missing", "different", "to_do"]
    text: str


def imported_recipe(
    pipeline: Pipeline, vocabulary: Vocabulary, path: str | None
) -> tuple[dict[str, Any], list[ImportRemark]]:
    """The recipe that stands for a pipeline, over the files at `path` where it names none."""
    steps: list[dict[str, Any]] = []
    parts: list[bool] = []
    remarks: list[ImportRemark] = []
    for call in pipeline.calls:
        made, part = _translate(pipeline.library, call, vocabulary, remarks)
        for step in made:
            if part and parts and parts[-1] and _joined(steps[-1], step):
                continue
            steps.append(step)
            parts.append(part)
    steps = [_without_defaults(step, vocabulary) for step in steps]
    return _recipe(pipeline, steps, vocabulary, path), remarks


def _recipe(
    pipeline: Pipeline, steps: list[dict[str, Any]], vocabulary: Vocabulary, path: str | None
) -> dict[str, Any]:
    """The steps over the sources that the pipeline names, together and in their order."""
    named = [{"path": path}] if path else pipeline.sources or [{"path": "data/*.jsonl"}]
    text = {} if pipeline.text_field == "text" else {"format": {"text": pipeline.text_field}}
    sources = {}
    for index, source in enumerate(named):
        name = "data" if len(named) == 1 else f"data_{index + 1}"
        sources[name] = {k: v for k, v in source.items() if k != "weight"} | text
    recipe: dict[str, Any] = {
        "name": re.sub(r"[^a-z0-9_-]+", "-", pipeline.name.lower()).strip("-_") or "imported",
        "description": f"Imported from {pipeline.library}.",
        "sources": sources,
    }
    weights = {name: source.get("weight", 1.0) for name, source in zip(sources, named, strict=True)}
    if len(set(weights.values())) > 1:
        recipe["mix"] = {"op": "weighted_mix", "weights": weights}
    return recipe | ({"steps": steps} if steps else {})


def _translate(
    library: str, call: OperatorCall, vocabulary: Vocabulary, remarks: list[ImportRemark]
) -> tuple[list[dict[str, Any]], bool]:
    """The steps for an operator, and whether they are parts of a step."""

    def remark(kind: Literal["missing", "different", "to_do"], text: str) -> None:
        remarks.append(ImportRemark(call.place, call.name, kind, text))

    of = "datatrove" if call.name == "FastTextClassifierFilter" else library
    found = equivalent(of, call.name, call.parameters)
    if found is None:
        remark("missing", reason_without(call.name))
        return [], False
    try:
        parameters, lost = found.translated(call.parameters)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        remark("missing", f"its parameters cannot be read: {dict(call.parameters)}")
        return [], False
    for text in lost:
        remark("missing", f"there is no parameter for {text}")
    if found.note:
        remark("different", found.note)
    if found.to_do:
        remark("to_do", found.to_do)
    steps = []
    for name in found.steps:
        fields = vocabulary[name].model_fields
        given = {k: v for k, v in parameters.items() if k in fields}
        off = RULES_OFF.get(name, {}) if found.part else {}
        step = {"op": name, **off, **_fitted(name, given, vocabulary)}
        try:
            vocabulary.operator(step)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                where = ".".join(map(str, item["loc"]))
                remark("to_do", f"{name}.{where}: {item['msg']}" if where else item["msg"])
        steps.append(step)
    return steps, found.part


def _fitted(name: str, given: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Values as our parameters take them: lists where they are lists, and limits that are so wide
    that they are none, or null for none, as ours have it."""
    properties = vocabulary[name].model_json_schema()["properties"]
    fitted: dict[str, Any] = {}
    for key, value in given.items():
        kinds = properties[key].get("anyOf", [properties[key]])
        nullable = {"type": "null"} in kinds
        schema: Mapping[str, Any] = kinds[0]
        least, most = schema.get("minimum"), schema.get("maximum")
        off = least if key.startswith("min") else most
        if schema.get("type") == "array" and not isinstance(value, list | tuple | type(None)):
            fitted[key] = [value]
        elif value is None:
            fitted[key] = None if nullable or off is None else off
        elif isinstance(value, int | float) and most is not None and value > most:
            fitted[key] = None if nullable else most
        elif isinstance(value, int | float) and least is not None and value < least:
            fitted[key] = least
        else:
            fitted[key] = list(value) if isinstance(value, tuple) else value
    return fitted


def _joined(step: dict[str, Any], part: Mapping[str, Any]) -> bool:
    """Adds a part to the step before it, unless both set the same rule."""
    if step["op"] != part["op"]:
        return False
    off = RULES_OFF.get(step["op"], {})
    added = {k: v for k, v in part.items() if k != "op" and v != off.get(k)}
    clash = [k for k, v in added.items() if step.get(k, off.get(k)) not in (off.get(k), v)]
    if not clash:
        step.update(added)
    return not clash


def _without_defaults(step: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    fields = vocabulary[step["op"]].model_fields
    defaults = {key: fields[key].get_default(call_default_factory=True) for key in step}
    return {
        key: value
        for key, value in step.items()
        if key == "op"
        or value != (list(default) if isinstance(default := defaults[key], tuple) else default)
    }
