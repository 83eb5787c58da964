"""The language of a text, found by py3langid or by a fastText model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import polars as pl
from pydantic import Field

from datachef.core.distribution import extra
from datachef.core.filter import Filter
from datachef.core.languages import Identify, fasttext_model, identified, py3langid_model
from datachef.core.operator import threshold

if TYPE_CHECKING:
    from datachef.core.filter import Signal

Code = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([_-][A-Za-z]{2,8})*$", max_length=32)]


class LanguageFilter(Filter):
    """Keeps text in the given languages.

    Without `model`, py3langid (Barbaresi's revision of langid.py, Lui and Baldwin 2012) knows 97
    languages by two-letter codes. With a path to a fastText model (lid.176, GlotLID), codes are the
    model's labels without `__label__`. Text without any letter has the language `und`.
    """

    op: Literal["language_filter"] = "language_filter"

    languages: tuple[Code, ...] = threshold(
        ("en",), min_length=1, max_length=100, description="Codes of the languages to keep."
    )
    min_confidence: float = threshold(
        0.65, ge=0, le=1, description="Least probability that the model gives the language."
    )
    max_chars: int = Field(
        5000, ge=50, le=1_000_000, description="Characters from the beginning that are looked at."
    )
    model: str | None = Field(
        None, max_length=4096, description="Path of a fastText model instead of py3langid."
    )

    def requires(self) -> Mapping[str, str]:
        if self.model is None:
            return {"py3langid": "py3langid"}
        return {"fasttext": extra("fasttext")}

    def located(self, folder: Path) -> Self:
        if self.model is None:
            return self
        return self.model_copy(update={"model": str(folder / Path(self.model).expanduser())})

    def files(self) -> tuple[str, ...]:
        return () if self.model is None else (self.model,)

    @cached_property
    def _identify(self) -> Identify:
        return py3langid_model() if self.model is None else fasttext_model(self.model)

    @cached_property
    def _language(self) -> pl.Expr:
        return identified(pl.col("text"), self.max_chars, lambda: self._identify)

    def signals(self) -> Mapping[str, Signal]:
        found = pl.col("_language").struct
        return {
            "_language": self._language,
            "language": found.field("language"),
            "language_confidence": found.field("confidence"),
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "other_language": ~pl.col("language").is_in(self.languages),
            "unsure_language": pl.col("language_confidence") < self.min_confidence,
        }
