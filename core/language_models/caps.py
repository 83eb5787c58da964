"""What recipes may ask of language models, and for how much: caps of the environment and of a pool.

A recipe may be written by a model, and calls cost money. Caps are compared with what a recipe says;
nothing is cut down in silence, so that a recipe means what is written in it.
"""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from datachef.core.errors import DatachefError

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[tuple[_Name, ...], Field(min_length=1)]
_Count = Annotated[int, Field(ge=1, le=10**12)]

# Fields of `LanguageModelCaps` by the variable of the environment that sets them.
VARIABLES = {
    "models": "DATACHEF_LLM_MODELS",
    "backends": "DATACHEF_LLM_BACKENDS",
    "max_tokens": "DATACHEF_LLM_MAX_TOKENS",
    "max_concurrency": "DATACHEF_LLM_MAX_CONCURRENCY",
    "budget_tokens": "DATACHEF_LLM_BUDGET_TOKENS",
}
# Of these, those that list names, by the parameter that has one of them.
LISTED = {"models": "model", "backends": "backend"}


class LanguageModelCaps(BaseModel):
    """What the steps of a recipe may say at most; None is no cap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: _Names | None = Field(None, description="Names of the models that may be asked.")
    backends: _Names | None = Field(None, description="Names of the backends that may be asked.")
    max_tokens: _Count | None = Field(None, description="Tokens of an answer.")
    max_concurrency: _Count | None = Field(None, description="Requests at a time per worker.")
    budget_tokens: _Count | None = Field(
        None, description="Tokens of all prompts and answers of a recipe."
    )

    @property
    def bounds_cost(self) -> bool:
        """Whether these caps say which models may be asked, and for how many tokens."""
        return self.models is not None and self.budget_tokens is not None

    @property
    def none(self) -> bool:
        """Whether nothing is capped."""
        return all(getattr(self, name) is None for name in VARIABLES)

    def with_those_of(self, other: LanguageModelCaps) -> LanguageModelCaps:
        """The caps of both: the models that both allow, and the lower numbers."""
        both = {}
        for name in VARIABLES:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is None or theirs is None:
                both[name] = theirs if mine is None else mine
            elif name in LISTED:
                both[name] = tuple(value for value in mine if value in theirs)
            else:
                both[name] = min(mine, theirs)
        return LanguageModelCaps.model_construct(**both)


class PoolCaps(LanguageModelCaps):
    """What a pool allows to the recipes that use it: models by name, and a budget."""

    models: _Names = Field(description="Names of the models that may be asked.")
    backends: _Names = Field(("openai",), description="Names of the backends that may be asked.")
    max_tokens: _Count = Field(1024, description="Tokens of an answer.")
    max_concurrency: _Count = Field(8, description="Requests at a time per worker.")
    budget_tokens: _Count = Field(description="Tokens of all prompts and answers of a recipe.")


def caps_of_environment() -> LanguageModelCaps:
    """The caps that the environment sets for every recipe. Raises `DatachefError` for a value that
    is none."""
    found = {}
    for name, variable in VARIABLES.items():
        text = os.environ.get(variable, "").strip()
        if not text:
            continue
        value = [part.strip() for part in text.split(",")] if name in LISTED else text
        try:
            kind = _Names if name in LISTED else _Count
            found[name] = TypeAdapter[object](kind).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise DatachefError(
                f"{variable} is {text!r}: {reason}", "mend it or unset it"
            ) from None
    return LanguageModelCaps.model_validate(found)
