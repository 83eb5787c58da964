"""A recipe: a typed value, read from YAML, that turns sources into a corpus."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny

from datachef.core import document
from datachef.core.contracts.corpus import MixOperator
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import Source
from datachef.core.errors import DatachefError
from datachef.core.language_models.caps import PoolCaps
from datachef.core.system.network import places

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

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    order: Literal["shuffled", "source"] | None = Field(
        None,
        description="Order of the rows: shuffled by the seed, or in blocks as the sources hold "
        "them; shuffled by default where there is a mix.",
    )
    shard_bytes: int = Field(
        200_000_000, ge=1_000, le=10_000_000_000, description="Text bytes per file, about."
    )


class Rejects(BaseModel):
    """How many rejected rows are kept to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: Literal["sample", "all", "none"] = "sample"
    per_reason: int = Field(100, ge=1, le=1_000_000, description="Rows per step and reason.")


class Recipe(BaseModel):
    """The contents of a `recipe.yaml`.

    `Vocabulary.recipe_model` is this class with the operators and sources that are registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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

    def to_data(self) -> dict[str, Any]:
        """This recipe as plain data, without what is at its default."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {"name": self.name, **data}

    def to_yaml(self) -> str:
        """This recipe as YAML; reading it back gives an equal recipe."""
        return document.dump(self.to_data())


class Pool(BaseModel):
    """The contents of a `pool.yaml`: the sources a recipe may use by name, and what it may ask of
    language models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
