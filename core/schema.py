"""JSON Schemas over what is registered: one source for editors, documentation and decoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datachef.core.task import Task
from datachef.core.vocabulary import Vocabulary


def recipe_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema of `recipe.yaml`."""
    return _finished(vocabulary.recipe_model.model_json_schema(by_alias=True), "recipe")


def pool_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema of `pool.yaml`."""
    return _finished(vocabulary.pool_model.model_json_schema(by_alias=True), "pool")


def task_schema(_: Vocabulary) -> dict[str, Any]:
    """The JSON Schema of `task.yaml`."""
    return _finished(Task.model_json_schema(by_alias=True), "task")


SCHEMAS: dict[str, Callable[[Vocabulary], dict[str, Any]]] = {
    "recipe": recipe_schema,
    "pool": pool_schema,
    "task": task_schema,
}


def _finished(schema: dict[str, Any], title: str) -> dict[str, Any]:
    finished = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"datachef {title}",
    }
    return _without_one_of(finished)  # type: ignore[no-any-return]


def _without_one_of(node: Any) -> Any:
    """`anyOf` for `oneOf`: the alternatives exclude each other, and every decoder knows `anyOf`.

    A step must name its operator, which pydantic leaves optional because the field has a default.
    """
    if isinstance(node, list):
        return [_without_one_of(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {
        ("anyOf" if key == "oneOf" else key): _without_one_of(value)
        for key, value in node.items()
        if key not in ("discriminator", "threshold")
    }
    properties = result.get("properties")
    if isinstance(properties, dict) and "const" in (properties.get("op") or {}):
        result["required"] = ["op", *(n for n in result.get("required", []) if n != "op")]
    return result
