"""Parameters of an operator that say what they are for, so that the operator need not do it.

A parameter made by one of these functions is a `pydantic.Field` with a mark that `Operator` reads.
All take the bounds of `pydantic.Field` (`ge`, `gt`, `le`, `lt`, `multiple_of`, `max_length`, ...).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_core import PydanticUndefined

from datachef.core.assets.asset import NAME
from datachef.core.system.paths import located

# Marks are keys of the JSON Schema, of a form that no parameter can have for a name.
THRESHOLD = "x-threshold"
INPUT_FILE = "x-input-file"
CORPUS_SIZE = "x-corpus-size"
SOURCE_WEIGHTS = "x-source-weights"
ASSET = "x-asset"
REFERENCE = "x-reference-source"
CHECKPOINT = "x-checkpoint"
MARKS = frozenset(
    {THRESHOLD, INPUT_FILE, CORPUS_SIZE, SOURCE_WEIGHTS, ASSET, REFERENCE, CHECKPOINT}
)


def threshold(default: Any, *, description: str, **bounds: Any) -> Any:
    """A parameter of a filter that only rules read: changing it re-decides from cached signals."""
    return _marked(THRESHOLD, default, description, bounds)


def input_file(default: Any = None, *, description: str, **bounds: Any) -> Any:
    """A parameter that names a local file: a string, a model with a `path`, or several of these.

    A relative path is meant from the folder of the recipe. A file that is not there is a problem of
    the recipe, a changed file gives a new result, and a recipe that is bound to a pool may name
    none. With `...` for its default it must be given.
    """
    return _marked(INPUT_FILE, default, description, bounds)


def corpus_size(default: Any = None, *, description: str, **bounds: Any) -> Any:
    """A parameter that counts rows or tokens of the whole corpus: a number, or a `Budget`.

    Where a recipe is tried on a part of the corpus, the number shrinks with it.
    """
    return _marked(CORPUS_SIZE, default, description, bounds)


def source_weights(*, description: str, **bounds: Any) -> Any:
    """The parameter of a `MixOperator` that gives sources their weights, by name; empty by default.

    A policy writes shares into it. A source that is not there is a problem of the recipe.
    """
    return _marked(
        SOURCE_WEIGHTS, PydanticUndefined, description, bounds | {"default_factory": dict}
    )


def asset_name(default: Any = None, *, description: str, **bounds: Any) -> Any:
    """A parameter that names an asset, such as a small model, that is registered and fetched.

    One that is not there is a problem of the recipe, which says the command that fetches it, and
    its checksum is part of what a result depends on. With `...` for its default it must be given.
    """
    named = {"max_length": 100, "pattern": f"^{NAME.pattern}$"}
    return _marked(ASSET, default, description, named | bounds)


def checkpoint_name(default: Any = None, *, description: str, **bounds: Any) -> Any:
    """A parameter that names a model of transformers: a folder, or an id on the Hugging Face Hub.

    `model_folder(name)` gives its folder. One of the Hub is fetched by the check of a recipe where
    the user allowed that; one that is not there is a problem of the recipe. Its files are part of
    what a result depends on, and a recipe that is bound to a pool may name none.
    """
    return _marked(CHECKPOINT, default, description, {"max_length": 4096} | bounds)


def reference_source(*, description: str, **bounds: Any) -> Any:
    """A parameter of a corpus operator that names another source of the recipe, to compare with.

    Rows of that source come before all others in the summaries, and are not in the corpus. A source
    that is not there is a problem of the recipe. None by default.
    """
    return _marked(REFERENCE, None, description, {"max_length": 200} | bounds)


def marked(model: type[BaseModel], mark: str) -> tuple[str, ...]:
    """The parameters of a class that bear a mark, in order."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(mark)
    )


def paths_of(value: Any) -> Iterator[str]:
    """The paths in the value of an `input_file` parameter."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, BaseModel):
        yield from paths_of(getattr(value, "path", None))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from paths_of(part)


def located_value(value: Any, folder: Path) -> Any:
    """The value of an `input_file` parameter with relative paths resolved against a folder."""
    if isinstance(value, str | Path):
        return type(value)(located(folder, value))
    if isinstance(value, BaseModel):
        path = getattr(value, "path", None)
        return (
            value
            if path is None
            else value.model_copy(update={"path": located_value(path, folder)})
        )
    if isinstance(value, tuple | list):
        return type(value)(located_value(part, folder) for part in value)
    return value


def scaled_value(value: Any, factor: float) -> Any:
    """The value of a `corpus_size` parameter for a corpus `factor` times as large.

    What asks for rows or tokens at all goes on to ask for one at least.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(min(value, 1), round(value * factor))
    if isinstance(value, BaseModel):
        parts = {name: getattr(value, name) for name in type(value).model_fields}
        return value.model_copy(update=scaled_value(parts, factor))
    if isinstance(value, Mapping):
        return {name: scaled_value(part, factor) for name, part in value.items()}
    return value


def _marked(mark: str, default: Any, description: str, bounds: dict[str, Any]) -> Any:
    extra = bounds.pop("json_schema_extra", None) or {}
    return Field(
        default, description=description, json_schema_extra={**extra, mark: True}, **bounds
    )
