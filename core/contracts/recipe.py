"""Recipes and pools as typed values, and the caps on what they may ask of language models.

A recipe may be written by a model, and calls cost money. Caps are compared with what a recipe says;
nothing is cut down in silence, so that a recipe means what is written in it.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
)

from datachef.core.contracts.corpus import MixOperator
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import Source
from datachef.core.errors import DatachefError
from datachef.core.system.network import places

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

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def _named(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name is made of letters, digits, '_' and '-'")
    return value


def _reachable(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return places(value)
    except DatachefError as error:
        raise ValueError(f"{error}: {error.hint}") from error


Name = Annotated[str, AfterValidator(_named)]
Step = SerializeAsAny[Operator]


class Output(BaseModel):
    """What the corpus looks like on disk."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    format: str = Field("parquet", description="File format.")
    schema_: Literal["text", "messages", "prompt_completion"] | None = Field(
        None, alias="schema", description="Row schema; by default the one all sources have."
    )
    separator: str | None = Field(
        None,
        max_length=1_000,
        description="With prompt_completion: two texts instead of turns, with this between turns.",
    )
    columns: tuple[str, ...] = Field((), description="More columns to keep, beside id and source.")
    signals: bool | tuple[_Name, ...] = Field(
        False,
        description="Signals of filters to keep as columns: all, or those whose name, or "
        "`operator.name`, matches one of these, with * for any characters.",
    )
    order: Literal["shuffled", "source"] | None = Field(
        None,
        description="Order of the rows: shuffled by the seed, or in blocks as the sources hold "
        "them; shuffled by default where there is a mix.",
    )
    shard_bytes: int = Field(
        200_000_000, ge=1_000, le=10_000_000_000, description="Text bytes per file, about."
    )
    allow_empty: bool = Field(
        False, description="Whether a corpus without rows is a result, and not a failure."
    )

    def keeps_signal(self, op: str, name: str) -> bool:
        """Whether a signal of an operator becomes a column of the corpus."""
        if isinstance(self.signals, bool):
            return self.signals
        names = (name, f"{op}.{name}")
        return any(fnmatchcase(named, pattern) for pattern in self.signals for named in names)


class Rejects(BaseModel):
    """How many rejected rows are kept to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    keep: Literal["sample", "all", "none"] = "sample"
    per_reason: int = Field(100, ge=1, le=1_000_000, description="Rows per step and reason.")


class Recipe(BaseModel):
    """The contents of a `recipe.yaml`.

    `Vocabulary.recipe_model` is this class with the operators and sources that are registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    name: Name
    description: str = ""
    task: str | None = Field(
        None, description="A task.yaml: what it is for; turns decontamination on."
    )
    pool: str | None = Field(
        None, description="A pool.yaml: sources that can be used by name alone."
    )
    seed: int = Field(0, ge=0, le=2**63 - 1)
    tokenizer: str | None = Field(
        None,
        description="What counts tokens: a tokenizer.json, a folder or an id on the Hugging Face "
        "Hub; without it one per four bytes.",
    )
    sources: dict[Name, SerializeAsAny[Source]] = Field(min_length=1)
    mix: SerializeAsAny[MixOperator] | None = None
    steps: tuple[Step, ...] = ()
    output: SerializeAsAny[Output] = Output()
    rejects: Rejects = Rejects()
    max_failed: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        {},
        description="Share of rows that may fail at a step, by its place or its operator, where "
        "that is less than the sources allow.",
    )

    def to_data(self) -> dict[str, Any]:
        """This recipe as plain data, without what is at its default."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {"name": self.name, **data}

    def to_yaml(self) -> str:
        """This recipe as YAML; reading it back gives an equal recipe."""
        from datachef.core import document

        return document.dump(self.to_data())


class Pool(BaseModel):
    """The contents of a `pool.yaml`: the sources a recipe may use by name, and what it may ask of
    language models."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    sources: dict[Name, SerializeAsAny[Source]] = Field(min_length=1)
    language_models: PoolCaps | None = Field(
        None,
        description="What recipes may ask of language models; where it is left out, a recipe that "
        "is bound to the pool may ask none.",
    )
    allow_network: Annotated[tuple[str, ...], AfterValidator(_reachable)] = Field(
        (),
        description="Hosts and buckets that the sources may reach, where a recipe is bound to this "
        "pool by --pool.",
    )
