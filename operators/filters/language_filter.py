"""The language of a text, found by py3langid or by a fastText model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    UNDETERMINED_LANGUAGE,
    CheckContext,
    DatachefError,
    Filter,
    LanguageIdentifier,
    UnknownLanguageError,
    extra,
    identify_languages,
    input_file,
    raise_environment_failure,
    threshold,
)

if TYPE_CHECKING:
    from datachef.core import Signal

Language = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=64)]


class LanguageFilter(Filter):
    """Keeps text in the given languages.

    Without `model`, py3langid (Barbaresi's revision of langid.py, Lui and Baldwin 2012) tells some
    140 languages apart. It reads five pieces of a long text, 1,000 characters together, and all of
    `max_chars` where these leave a doubt (a confidence below .95). With a path to a fastText model
    (lid.176, GlotLID), the languages are those of its labels. A language is named by its label, by
    a code of ISO 639 in two or three letters, or in English: en, eng and English are one. A region
    or script that the model does not tell apart is a mistake. Text without any letter has the
    language `und`, and no confidence.
    """

    version: ClassVar[int] = 3

    op: Literal["language_filter"] = "language_filter"

    languages: tuple[Language, ...] = threshold(
        ("en",),
        min_length=1,
        max_length=100,
        description="Languages to keep, by code or English name.",
    )
    min_confidence: float = threshold(
        0.65, ge=0, le=1, description="Least probability that the model gives the language."
    )
    max_chars: int = Field(
        5000, ge=50, le=1_000_000, description="Characters from the beginning that are looked at."
    )
    model: str | None = input_file(
        max_length=4096, description="Path of a fastText model instead of py3langid."
    )

    def requires(self) -> Mapping[str, str]:
        if self.model is None:
            return {"py3langid": "py3langid"}
        return {"fasttext": extra("fasttext")}

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        try:
            self._identifier.labels()
        except ImportError:  # there is a problem about the package
            return
        except (OSError, ValueError) as error:
            if self.model is not None and Path(self.model).is_file():
                yield "model", f"no fastText model: {error}", "such as lid.176.bin or lid.176.ftz"
            return
        for language in self.languages:
            try:
                self._identifier.label_of(language)
            except UnknownLanguageError as error:
                yield "languages", str(error), error.hint

    @cached_property
    def _identifier(self) -> LanguageIdentifier:
        return LanguageIdentifier(self.model)

    def _checked_identifier(self) -> LanguageIdentifier:
        """A language that the model does not know is an error before anything is measured."""
        for language in self.languages:
            try:
                self._identifier.label_of(language)
            except UnknownLanguageError as error:
                raise DatachefError(f"language_filter: {error}", error.hint) from error
        return self._identifier

    @cached_property
    def _language(self) -> pl.Expr:
        return identify_languages(pl.col("text"), self.max_chars, self._checked_identifier)

    def signals(self) -> Mapping[str, Signal]:
        found = pl.col("_language").struct
        return {
            "_language": self._language,
            "language": found.field("language"),
            "language_confidence": found.field("confidence"),
        }

    @cached_property
    def _wanted(self) -> list[str]:
        """The labels of the languages to keep. `check` reports what is wrong with them or with the
        model, and `_checked_identifier` where nobody checked."""
        found: list[str] = []
        for language in self.languages:
            try:
                found.append(self._identifier.label_of(language))
            except UnknownLanguageError:
                continue
            except (OSError, ValueError) as error:
                raise_environment_failure(error)
                break
        return found

    def reasons(self) -> tuple[str, ...]:
        return ("other_language", "unsure_language")

    def rules(self) -> Mapping[str, pl.Expr]:
        language = pl.col("language")
        unsure = pl.col("language_confidence") < self.min_confidence
        return {
            "other_language": ~language.is_in(self._wanted),
            "unsure_language": unsure & (language != UNDETERMINED_LANGUAGE),
        }
