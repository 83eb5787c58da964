"""YAML files that hold one pydantic model: a task, limits, settings."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from datachef.core import document as documents
from datachef.core.errors import RecipeError
from datachef.core.problems import Problem
from datachef.core.structure import problems_of
from datachef.core.task import Task
from datachef.core.vocabulary import Vocabulary

M = TypeVar("M", bound=BaseModel)


def read_typed(path: Path, model: type[M]) -> M:
    """The model in a YAML file. Raises `RecipeError` with all that is wrong with it, and where."""
    document = documents.read(path)
    problems = list(document.problems)
    if not problems and not isinstance(document.data, dict):
        name = model.__name__.lower()
        known = ", ".join(model.model_fields)
        message = f"{path} holds no {name}: it is not a mapping"
        problems = [document.locate(Problem("not_a_mapping", message, "", f"fields: {known}"), ())]
    if problems:
        raise RecipeError(problems)
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        found = problems_of(error, document, model, Vocabulary(), [])
        raise RecipeError(list(found.values())) from None


def read_task(path: Path) -> Task:
    """The task in a file, its paths resolved. Raises `RecipeError` as `read_typed` does."""
    return read_typed(path, Task).located_in(path.parent)
