"""Guardrails: limits outside the score, which a corpus must keep however high it scores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from datachef.core.contracts.recipe import Name
from datachef.core.rows.columns import concat
from datachef.reward.features import source_shares
from datachef.reward.retention import (
    Retention,
    RowGroup,
    Share,
    by_group,
    by_language,
    gap,
    language_label,
    retained,
)
from datachef.reward.sampled_run import SampledCorpus
from datachef.reward.text_measures import TEXT_MEASURES, TextCache, text_measures


class GuardrailLimits(BaseModel):
    """The contents of a `limits.yaml`; what is not given is not limited.

    Shares are of rows, weighed by how many rows of the corpus a sampled row stands for; retention
    is rows after the recipe by rows before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
    min_retention_by_group: dict[Name, RowGroup] = Field(
        {}, description="Groups of rows, each with its least retention."
    )
    max_retention_gap: Share | None = Field(
        None,
        description="Largest retention gap between the named groups and all rows: "
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
        labels = {language: language_label(language) for language in given}
        for language, label in labels.items():
            if twins := [other for other in labels if labels[other] == label and other != language]:
                raise ValueError(f"{language} and {twins[0]} are one language")
        return {labels[language]: least for language, least in given.items()}


# Sums of weights differ in their last digits with the order of the rows.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Violation:
    """A limit that a corpus breaks: its name in `limits.yaml`, what was measured, what is allowed,
    and both in words."""

    limit: str
    measured: float
    bound: float
    message: str


@dataclass(frozen=True)
class GuardrailFindings:
    """All that was measured, whether it is limited or not, and the limits that are broken.

    `measures` by name: `rows`; the shares of rows `toxicity`, `personal_data`, `synthetic_share`,
    `unknown_licence_share` and `forbidden_licence_share`, with `toxicity_before` and
    `personal_data_before`; `source_share`, the largest of a source; `retention`,
    `retention.language.CODE`, `retention.group.NAME` (of what there was before),
    `language_retention_gap` and `retention_gap`.
    """

    measures: Mapping[str, float]
    violations: tuple[Violation, ...]


class Guardrails:
    """Measures corpora and compares them with limits."""

    def __init__(self, limits: GuardrailLimits) -> None:
        self._limits = limits

    def inspect(
        self,
        before: pl.DataFrame,
        after: pl.DataFrame,
        *,
        licences: Mapping[str, str],
        shares: Mapping[str, float],
    ) -> GuardrailFindings:
        """Compares the corpus that a recipe made with the rows that it read.

        `before` are the rows as they were read, `after` those of the corpus: `id`, `source`,
        `text` and `weight`, in `after` also `synthesized_by` where a model wrote some. A weight is
        how many rows of the source, or of the corpus, a row stands for. Rows that have the columns
        of `text_measures` are not measured again. `licences` are those of the sources (empty:
        unknown), `shares` what each source has of the corpus's tokens. Raises `DatachefError` where
        a group is defined by a column that is missing.
        """
        before, after = _measured(before), _measured(after)
        inspection = _Inspection(self._limits)
        inspection.contents(before, after)
        inspection.sources(after, licences, shares)
        inspection.retention(before, after)
        return GuardrailFindings(
            dict(sorted(inspection.measures.items())), tuple(inspection.violations)
        )


class _Inspection:
    def __init__(self, limits: GuardrailLimits) -> None:
        self._limits = limits
        self.measures: dict[str, float] = {}
        self.violations: list[Violation] = []

    def contents(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        rows = float(after["weight"].sum())
        self.measures["rows"] = rows
        self._at_least("min_rows", rows, self._limits.min_rows, f"the corpus has {rows:,.0f} rows")
        for measure, column, what in (
            ("toxicity", "toxic", "toxic rows"),
            ("personal_data", "personal_data", "rows with personal data"),
        ):
            share = _share(after, pl.col(column))
            self.measures[f"{measure}_before"] = _share(before, pl.col(column))
            self.measures[measure] = share
            bound = getattr(self._limits, f"max_{measure}")
            self._at_most(f"max_{measure}", share, bound, f"{what} are {share:.2%} of the corpus")
        written = pl.col("synthesized_by").is_not_null()
        share = _share(after, written) if "synthesized_by" in after.columns else 0.0
        self.measures["synthetic_share"] = share
        bound = self._limits.max_synthetic_share
        self._at_most("max_synthetic_share", share, bound, f"a model wrote {share:.2%} of the rows")

    def sources(
        self, after: pl.DataFrame, licences: Mapping[str, str], shares: Mapping[str, float]
    ) -> None:
        name, share = max(sorted(shares.items()), key=lambda pair: pair[1], default=("", 0.0))
        self.measures["source_share"] = share
        message = f"{share:.2%} of the tokens come from the source {name}"
        self._at_most("max_source_share", share, self._limits.max_source_share, message)
        allowed = {_normalised(licence) for licence in self._limits.licences or ()}
        unknown, forbidden = [], []
        for source in sorted(after.filter(pl.col("weight") > 0)["source"].unique()):
            licence = _normalised(licences.get(source, ""))
            if not licence:
                unknown.append(source)
            elif self._limits.licences is not None and licence not in allowed:
                forbidden.append(source)
        for kind, of_kind in (("unknown", unknown), ("forbidden", forbidden)):
            of = pl.col("source").is_in(of_kind)
            self.measures[f"{kind}_licence_share"] = _share(after, of)
        if self._limits.licences is None:
            return
        for source in forbidden:
            message = f"the licence of the source {source}, {licences[source]}, is not allowed"
            self._licence(after, source, message)
        for source in unknown if self._limits.unknown_licences == "fail" else ():
            self._licence(after, source, f"the licence of the source {source} is unknown")

    def retention(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        whole = retained(before, after)
        languages = by_language(before, after)
        groups = by_group(before, after, self._limits.min_retention_by_group)
        self.measures["retention"] = whole.ratio if whole else 0.0
        for language, kept in languages.items():
            self.measures[f"retention.language.{language}"] = kept.ratio
            least = self._limits.min_retention_by_language.get(language)
            self._retained(f"min_retention_by_language.{language}", kept, least)
        for name, kept in groups.items():
            self.measures[f"retention.group.{name}"] = kept.ratio
            least = self._limits.min_retention_by_group[name].min
            self._retained(f"min_retention_by_group.{name}", kept, least)
        for limit, gap_, among in (
            ("retention_gap", gap([*groups.values(), *filter(None, [whole])]), "groups"),
            ("language_retention_gap", gap(languages.values()), "languages"),
        ):
            self.measures[limit] = gap_
            message = f"the retention gap between {among} is {gap_:.2%}"
            self._at_most(f"max_{limit}", gap_, getattr(self._limits, f"max_{limit}"), message)

    def _licence(self, after: pl.DataFrame, source: str, message: str) -> None:
        share = _share(after, pl.col("source") == source)
        self.violations.append(Violation("licences", share, 0.0, message))

    def _retained(self, limit: str, kept: Retention, least: float | None) -> None:
        message = f"{kept.ratio:.2%} is left of {kept.sampled} sampled rows"
        self._at_least(limit, kept.ratio, least, message)

    def _at_most(self, limit: str, measured: float, bound: float | None, message: str) -> None:
        if bound is not None and measured > bound + _TOLERANCE:
            self._break(limit, measured, bound, f"{message}, more than {limit} {bound:g}")

    def _at_least(self, limit: str, measured: float, bound: float | None, message: str) -> None:
        if bound is not None and measured < bound - _TOLERANCE:
            self._break(limit, measured, bound, f"{message}, less than {limit} {bound:g}")

    def _break(self, limit: str, measured: float, bound: float, message: str) -> None:
        self.violations.append(Violation(limit, measured, bound, message))


def _measured(rows: pl.DataFrame) -> pl.DataFrame:
    if set(TEXT_MEASURES) <= set(rows.columns):
        return rows
    return rows.with_columns(text_measures(rows["text"]))


def _share(rows: pl.DataFrame, which: pl.Expr) -> float:
    weight = float(rows["weight"].sum())
    return float(rows.filter(which)["weight"].sum()) / weight if weight > 0 else 0.0


def _normalised(licence: str) -> str:
    """A licence as it is compared: CC BY 4.0 and cc-by-4.0 are one."""
    return re.sub(r"[\s_-]+", "-", licence.strip()).casefold()


class SampleGuardrails:
    """Guardrails for sampled corpora; measures each text once."""

    def __init__(self, limits: GuardrailLimits) -> None:
        self.limits = limits
        self._guardrails = Guardrails(limits)
        self._cache = TextCache(lambda texts: text_measures(texts["text"]))

    def inspect(self, corpus: SampledCorpus) -> GuardrailFindings:
        """The measures of the corpus and the limits that it breaks.

        How often the mix takes a row counts before and after, so that retention shows what the
        steps keep, and not how large the budget is.
        """
        before = [
            source.read.with_columns(pl.lit(source.epochs / source.sample.rate).alias("weight"))
            for source in corpus.sources.values()
        ]
        return self._guardrails.inspect(
            self._measured(concat(before)),
            self._measured(corpus.rows),
            licences={name: source.licence for name, source in corpus.sources.items()},
            shares=source_shares(corpus),
        )

    def _measured(self, rows: pl.DataFrame) -> pl.DataFrame:
        indices = self._cache.indices(rows.select("text"))
        known = pl.concat(self._cache.chunks)[indices.tolist()]
        return rows.drop(known.columns, strict=False).hstack(known)
