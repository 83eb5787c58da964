"""The limits of a corpus that no score can buy off, as a person writes them in a YAML file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datachef.core.contracts.recipe import Name
from datachef.core.text.languages import UnknownLanguageError, label_of, py3langid_labels

Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Group(_Model):
    """Rows that belong together: by words in the text, by a pattern, or by the value of a column.

    Exactly one of `words`, `pattern` and `column` says which.
    """

    words: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None, min_length=1, description="Whole words, of which the text has one; case is ignored."
    )
    pattern: str | None = Field(
        None, description="A regular expression (Rust) that is found in the text."
    )
    column: str | None = Field(
        None, description="A column of the rows; `language` is the one that was found."
    )
    values: tuple[str | int | bool, ...] | None = Field(
        None, min_length=1, description="Values of the column; without it, any that is not null."
    )
    min: Share | None = Field(
        None, description="Least retention; without it the group only counts for the gap."
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                pl.Series([""]).str.contains(pattern)
            except pl.exceptions.ComputeError as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _one_criterion(self) -> Group:
        if sum(given is not None for given in (self.words, self.pattern, self.column)) != 1:
            raise ValueError("give exactly one of words, pattern and column")
        if self.values is not None and self.column is None:
            raise ValueError("values are those of a column: name it")
        return self

    @model_validator(mode="after")
    def _known_languages(self) -> Group:
        if self.column != "language" or self.values is None:
            return self
        return self.model_copy(update={"values": tuple(map(_label, map(str, self.values)))})


class Limits(_Model):
    """The contents of a `limits.yaml`; what is not given is not limited.

    Shares are of rows, weighed by how many rows of the corpus a sampled row stands for; retention
    is rows after the recipe by rows before it.
    """

    max_toxicity: Share | None = Field(None, description="Largest share of toxic rows.")
    max_personal_data: Share | None = Field(
        None, description="Largest share of rows with e-mail, phone, card, IBAN or IP address."
    )
    licences: tuple[str, ...] | None = Field(
        None, description="Licences a source may have, such as MIT or CC-BY-4.0; others fail."
    )
    unknown_licences: Literal["fail", "allow"] = Field(
        "fail", description="What becomes of sources without a licence where `licences` is given."
    )
    max_synthetic_share: Share | None = Field(
        None, description="Largest share of rows that the recipe had a model write."
    )
    min_retention_by_language: dict[str, Share] = Field(
        {}, description="Least retention of rows in a language, by its code or English name."
    )
    min_retention_by_group: dict[Name, Group] = Field(
        {}, description="Groups of rows, each with its least retention."
    )
    max_retention_gap: Share | None = Field(
        None,
        description="Largest loss of a named group beside the best kept of them and all rows: "
        "1 - lowest retention / highest retention.",
    )
    max_language_retention_gap: Share | None = Field(
        None, description="The same between languages."
    )
    min_rows: int | None = Field(None, ge=0, description="Fewest rows of the corpus.")
    max_source_share: Share | None = Field(
        None, description="Largest share of the corpus's tokens from one source."
    )

    @field_validator("min_retention_by_language", mode="before")
    @classmethod
    def _by_label(cls, given: Any) -> Any:
        """The limits by the labels that the rows are going to have."""
        if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
            return given
        labels = {language: _label(language) for language in given}
        for language, label in labels.items():
            if twins := [other for other in labels if labels[other] == label and other != language]:
                raise ValueError(f"{language} and {twins[0]} are one language")
        return {labels[language]: least for language, least in given.items()}


def _label(language: str) -> str:
    try:
        return label_of(language, py3langid_labels())
    except UnknownLanguageError as error:
        raise ValueError(f"{error}: {error.hint}") from None
