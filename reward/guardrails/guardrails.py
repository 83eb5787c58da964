"""Limits outside the score: what a corpus is measured for, and which limits it breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from datachef.reward.guardrails.limits import Limits
from datachef.reward.guardrails.measures import MEASURES, text_measures
from datachef.reward.guardrails.retention import (
    Retention,
    by_group,
    by_language,
    gap,
    retained,
)

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
class Findings:
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
    """Measures corpora and holds them against limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def inspect(
        self,
        before: pl.DataFrame,
        after: pl.DataFrame,
        *,
        licences: Mapping[str, str],
        shares: Mapping[str, float],
    ) -> Findings:
        """What a recipe made of its rows.

        `before` are the rows as they were read, `after` those of the corpus: `id`, `source`,
        `text` and `weight`, in `after` also `synthesized_by` where a model wrote some. A weight is
        how many rows of the source, or of the corpus, a row stands for. Rows that have the columns
        of `text_measures` are not measured again. `licences` are those of the sources (empty:
        unknown), `shares` what each source has of the corpus's tokens. Raises `DatachefError` where
        a group is told by a column that is not there.
        """
        before, after = _measured(before), _measured(after)
        inspection = _Inspection(self._limits)
        inspection.contents(before, after)
        inspection.sources(after, licences, shares)
        inspection.retention(before, after)
        return Findings(dict(sorted(inspection.measures.items())), tuple(inspection.violations))


class _Inspection:
    def __init__(self, limits: Limits) -> None:
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
        allowed = {_plain(licence) for licence in self._limits.licences or ()}
        unknown, forbidden = [], []
        for source in sorted(after.filter(pl.col("weight") > 0)["source"].unique()):
            licence = _plain(licences.get(source, ""))
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
            ("retention_gap", gap([*groups.values(), *filter(None, [whole])]), "named groups"),
            ("language_retention_gap", gap(languages.values()), "languages"),
        ):
            self.measures[limit] = gap_
            message = f"of the {among}, the worst kept lost {gap_:.2%} beside the best kept"
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
    if set(MEASURES) <= set(rows.columns):
        return rows
    return rows.with_columns(text_measures(rows["text"]))


def _share(rows: pl.DataFrame, which: pl.Expr) -> float:
    weight = float(rows["weight"].sum())
    return float(rows.filter(which)["weight"].sum()) / weight if weight > 0 else 0.0


def _plain(licence: str) -> str:
    """A licence as it is compared: CC BY 4.0 and cc-by-4.0 are one."""
    return re.sub(r"[\s_-]+", "-", licence.strip()).casefold()
