"""How much of the rows is left of a corpus, by language and by group: retention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datachef.core.errors import DatachefError
from datachef.core.text.language_identification import LanguageIdentifier
from datachef.core.text.languages import UnknownLanguageError

Share = Annotated[float, Field(ge=0, le=1)]


class RowGroup(BaseModel):
    """Rows that belong together: by words in the text, by a pattern, or by the value of a column.

    Exactly one of `words`, `pattern` and `column` says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
    def _one_criterion(self) -> RowGroup:
        if sum(given is not None for given in (self.words, self.pattern, self.column)) != 1:
            raise ValueError("give exactly one of words, pattern and column")
        if self.values is not None and self.column is None:
            raise ValueError("values are those of a column: name it")
        return self

    @model_validator(mode="after")
    def _known_languages(self) -> RowGroup:
        if self.column != "language" or self.values is None:
            return self
        return self.model_copy(update={"values": tuple(map(language_label, map(str, self.values)))})


def language_label(language: str) -> str:
    """The label that rows of a language get. Raises `ValueError` for one that is not known."""
    try:
        return LanguageIdentifier().label_of(language)
    except UnknownLanguageError as error:
        raise ValueError(f"{error}: {error.hint}") from None


# Of fewer sampled rows, a ratio says more about chance than about the recipe.
ENOUGH_ROWS = 30


@dataclass(frozen=True)
class Retention:
    """The ratio of rows after to rows before; `sampled` is the number of sampled rows before."""

    ratio: float
    sampled: int


def retained(before: pl.DataFrame, after: pl.DataFrame) -> Retention | None:
    """The retention of all these rows, by their `weight`; None where there were none."""
    weight = float(before["weight"].sum())
    return Retention(float(after["weight"].sum()) / weight, before.height) if weight > 0 else None


def by_language(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, Retention]:
    """The retention of every `language` that there was before, by its code."""
    found = {}
    for language in sorted(before["language"].unique()):
        spoken = pl.col("language") == language
        if retention := retained(before.filter(spoken), after.filter(spoken)):
            found[language] = retention
    return found


def by_group(
    before: pl.DataFrame, after: pl.DataFrame, groups: Mapping[str, RowGroup]
) -> dict[str, Retention]:
    """The retention of every named group that there was before.

    Where the recipe dropped the column of a group, its rows are known by their `id`. Raises
    `DatachefError` for a column that was not there before either.
    """
    found = {}
    for name, group in sorted(groups.items()):
        column = group.column
        kept = after
        if column is not None:
            if column not in before.columns:
                raise DatachefError(
                    f"the group {name} looks at the column {column!r}, which no source has",
                    hint=f"columns there: {', '.join(sorted(before.columns))}",
                )
            if column not in after.columns:
                values = before.select("id", column).unique("id", maintain_order=True)
                kept = after.join(values, on="id", how="left")
        belongs = _belongs(group)
        if retention := retained(before.filter(belongs), kept.filter(belongs)):
            found[name] = retention
    return found


def gap(retentions: Iterable[Retention]) -> float:
    """1 - lowest retention / highest retention, from 0 (all alike) to 1 (one is gone).

    Leaves out those of fewer than `ENOUGH_ROWS` sampled rows.
    """
    ratios = [retention.ratio for retention in retentions if retention.sampled >= ENOUGH_ROWS]
    highest = max(ratios, default=0.0)
    return 1 - min(ratios) / highest if highest > 0 else 0.0


def _belongs(group: RowGroup) -> pl.Expr:
    if group.column is not None:
        value = pl.col(group.column)
        if group.values is None:
            return value.is_not_null()
        return value.cast(pl.String).is_in([_as_text(v) for v in group.values])
    pattern = group.pattern
    if group.words is not None:
        pattern = rf"(?i)\b(?:{'|'.join(map(re.escape, group.words))})\b"
    return pl.col("text").str.contains(pattern or "")


def _as_text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
