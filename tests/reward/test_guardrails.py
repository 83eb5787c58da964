from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from datachef.core import DatachefError, RecipeError
from datachef.core.recipe.resolving import read_typed
from datachef.reward.guardrails import GuardrailFindings, GuardrailLimits, Guardrails

ENGLISH = "The weather was so bad that nobody wanted to leave the house in the morning."
GERMAN = "Das Wetter war so schlecht, dass morgens niemand das Haus verlassen wollte."
TOXIC = "You are a stupid and worthless person, and everyone in the house knows it."
PERSONAL = "Please write to jane.doe@mail.org before the end of the week, or call her."


def rows(*parts: tuple[str, int], weight: float = 1.0, source: str = "web") -> pl.DataFrame:
    texts = [f"{text} {number}" for text, count in parts for number in range(count)]
    return pl.DataFrame(
        {"id": texts, "source": source, "text": texts, "weight": weight},
        schema_overrides={"weight": pl.Float64},
    )


def inspect(
    before: pl.DataFrame, after: pl.DataFrame, licence: str = "MIT", **limits: Any
) -> GuardrailFindings:
    guardrails = Guardrails(GuardrailLimits(**limits))
    return guardrails.inspect(before, after, licences={"web": licence}, shares={"web": 1.0})


def broken(findings: GuardrailFindings) -> list[str]:
    return [violation.limit for violation in findings.violations]


def test_everything_is_measured_without_any_limit():
    before = rows((ENGLISH, 60), (GERMAN, 40))
    after = rows((ENGLISH, 45), (GERMAN, 10), (TOXIC, 3), (PERSONAL, 2), weight=2)
    after = after.with_columns(
        synthesized_by=pl.when(pl.col("text").str.starts_with("You")).then(pl.lit("m"))
    )
    found = inspect(before, after)
    assert found.violations == ()
    assert found.measures == {
        "forbidden_licence_share": 0.0,
        "language_retention_gap": pytest.approx(1 - 0.5 / (100 / 60)),
        "personal_data": pytest.approx(2 / 60),
        "personal_data_before": 0.0,
        "retention": pytest.approx(1.2),
        "retention.language.de": pytest.approx(0.5),
        "retention.language.en": pytest.approx(100 / 60),
        "retention_gap": 0.0,
        "rows": 120.0,
        "source_share": 1.0,
        "synthetic_share": pytest.approx(3 / 60),
        "toxicity": pytest.approx(3 / 60),
        "toxicity_before": 0.0,
        "unknown_licence_share": 0.0,
    }
    assert list(found.measures) == sorted(found.measures)


@pytest.mark.parametrize(
    ("limit", "kept", "broke"),
    [
        ("max_toxicity", 0.05, 0.04), ("max_personal_data", 0.1, 0.09),
        ("max_synthetic_share", 0.25, 0.24), ("min_rows", 200, 201),
        ("max_source_share", 1.0, 0.99),
    ],
)  # fmt: skip
def test_a_limit_holds_at_its_bound(limit, kept, broke):
    after = rows((ENGLISH, 85), (TOXIC, 5), (PERSONAL, 10), weight=2)
    after = after.with_columns(
        synthesized_by=pl.when(pl.int_range(pl.len()) < 25).then(pl.lit("m"))
    )
    assert broken(inspect(after, after, **{limit: kept})) == []
    (violation,) = inspect(after, after, **{limit: broke}).violations
    assert (violation.limit, violation.bound) == (limit, broke)
    assert limit in violation.message


def test_weights_count():
    clean, bad = rows((ENGLISH, 1), weight=99), rows((TOXIC, 1), weight=1)
    after = pl.concat([clean, bad])
    assert inspect(after, after).measures["toxicity"] == pytest.approx(0.01)


def test_nothing_left():
    before = rows((ENGLISH, 3))
    found = inspect(before, before[:0], min_rows=1, min_retention_by_language={"en": 0.5})
    assert broken(found) == ["min_rows", "min_retention_by_language.en"]
    assert found.measures["toxicity"] == 0.0
    nothing = inspect(before[:0], before[:0], min_retention_by_language={"en": 0.5})
    assert nothing.violations == ()
    assert nothing.measures["retention"] == 0.0


def test_retention_by_language():
    before, after = rows((ENGLISH, 50), (GERMAN, 50)), rows((ENGLISH, 40), (GERMAN, 10))
    limits = {"en": 0.8, "de": 0.3, "sw": 0.9}
    (violation,) = inspect(before, after, min_retention_by_language=limits).violations
    assert violation.limit == "min_retention_by_language.de"
    assert (violation.measured, violation.bound) == (pytest.approx(0.2), 0.3)
    assert "50 sampled rows" in violation.message
    found = inspect(before, after, max_language_retention_gap=0.7)
    assert broken(found) == ["max_language_retention_gap"]
    assert found.measures["language_retention_gap"] == pytest.approx(0.75)
    assert broken(inspect(before, after, max_language_retention_gap=0.75)) == []


def test_chance_makes_no_gap():
    before, after = rows((ENGLISH, 50), (GERMAN, 29)), rows((ENGLISH, 50))
    assert broken(inspect(before, after, max_language_retention_gap=0.1)) == []


GROUPS = {
    "weather": {"words": ["WEATHER", "snow"], "min": 0.5},
    "mail": {"pattern": r"\w@\w", "min": 0.5},
    "rich": {"column": "income", "values": ["high", 3, True], "min": 0.5},
    "told": {"column": "income", "min": 0.5},
}


def test_groups():
    before = rows((ENGLISH, 40), (PERSONAL, 40)).with_columns(
        income=pl.when(pl.int_range(pl.len()) % 4 == 0)
        .then(pl.lit("high"))
        .when(pl.int_range(pl.len()) % 4 == 1)
        .then(pl.lit("low"))
    )
    after = before.filter(pl.col("text").str.contains("@") | (pl.col("income") == "high"))
    found = inspect(before, after, min_retention_by_group=GROUPS)
    assert found.measures["retention.group.weather"] == 0.25
    assert found.measures["retention.group.mail"] == 1.0
    assert found.measures["retention.group.rich"] == 1.0
    assert found.measures["retention.group.told"] == 0.75
    assert broken(found) == ["min_retention_by_group.weather"]
    # `rich` has too few rows to judge by its gap
    assert found.measures["retention_gap"] == pytest.approx(0.75)
    groups = {"weather": {"words": ["weather"]}}
    found = inspect(before, after, min_retention_by_group=groups, max_retention_gap=0.1)
    assert found.measures["retention_gap"] == pytest.approx(1 - 0.25 / 0.625)
    assert broken(found) == ["max_retention_gap"]


def test_whole_words_alone():
    before = rows((ENGLISH, 1))
    groups = {"the": {"words": ["the w", "C++", "nobody"]}, "part": {"words": ["weath"]}}
    measures = inspect(before, before, min_retention_by_group=groups).measures
    assert "retention.group.the" in measures
    assert "retention.group.part" not in measures


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Boolean, pl.String])
def test_values_of_any_type(dtype):
    value = {pl.Int64: 3, pl.Boolean: True, pl.String: "x"}[dtype]
    before = rows((ENGLISH, 2)).with_columns(kind=pl.Series([value, None], dtype=dtype))
    groups = {"kind": {"column": "kind", "values": [value]}}
    after = before[1:]
    found = inspect(before, after, min_retention_by_group=groups)
    assert found.measures["retention.group.kind"] == 0.0


def test_a_dropped_column_is_found_by_id():
    before = rows((ENGLISH, 40)).with_columns(income=pl.lit("high"))
    after = before[:10].drop("income")
    groups = {"rich": {"column": "income", "min": 0.3}}
    assert broken(inspect(before, after, min_retention_by_group=groups)) == [
        "min_retention_by_group.rich"
    ]
    with pytest.raises(DatachefError, match="income") as caught:
        inspect(after, after, min_retention_by_group=groups)
    assert "text" in caught.value.hint


def test_licences():
    after = pl.concat([rows((ENGLISH, 3), source=name) for name in ("a", "b", "c")])
    licences = {"a": "CC BY 4.0", "b": "GPL-3.0"}

    def found(**limits: Any) -> GuardrailFindings:
        guardrails = Guardrails(GuardrailLimits(**limits))
        return guardrails.inspect(after, after, licences=licences, shares={})

    free = found()
    assert free.violations == ()
    assert free.measures["unknown_licence_share"] == pytest.approx(1 / 3)
    strict = found(licences=("MIT", "cc-by-4.0"))
    assert [v.measured for v in strict.violations] == [pytest.approx(1 / 3)] * 2
    assert broken(strict) == ["licences", "licences"]
    assert "source b, GPL-3.0" in strict.violations[0].message
    assert "source c is unknown" in strict.violations[1].message
    assert strict.measures["forbidden_licence_share"] == pytest.approx(1 / 3)
    lenient = found(licences=("cc_by-4.0", "gpl-3.0"), unknown_licences="allow")
    assert lenient.violations == ()


def test_what_is_known_is_not_measured_again():
    known = rows((ENGLISH, 2)).with_columns(
        toxic=pl.Series([True, False]), personal_data=pl.lit(True), language=pl.lit("fr")
    )
    measures = inspect(known, known).measures
    assert measures["toxicity"] == 0.5
    assert measures["personal_data"] == 1.0
    assert "retention.language.fr" in measures


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("max_toxicty: 0.1", "unknown_field"),
        ("max_toxicity: 2", "less_than_equal"),
        ("min_retention_by_language: {klingon: 0.5}", "value_error"),
        ("min_retention_by_language: {en-US: 0.5}", "value_error"),
        ("min_retention_by_language: {en: 0.5, eng: 0.6}", "value_error"),
        ("min_retention_by_group: {a: {column: language, values: [xx]}}", "value_error"),
        ("min_retention_by_group: {a: {min: 0.5}}", "value_error"),
        ("min_retention_by_group: {a: {words: [x], pattern: x}}", "value_error"),
        ("min_retention_by_group: {a: {words: [x], values: [x]}}", "value_error"),
        ("min_retention_by_group: {a: {pattern: '(x'}}", "value_error"),
        ("min_retention_by_group: {a: {pattern: '(?<=a)x'}}", "value_error"),
    ],
)
def test_wrong_limits(tmp_path, text, code):
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_typed(path, GuardrailLimits)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert caught.value.problems[0].line == 1


def test_languages_of_limits_are_those_that_rows_have(tmp_path):
    path = tmp_path / "limits.yaml"
    path.write_text(
        "min_retention_by_language: {English: 0.5, ger: 0.6, iw: 0.7}\n"
        "min_retention_by_group: {ours: {column: language, values: [FR, spa, und]}}\n"
    )
    limits = read_typed(path, GuardrailLimits)
    assert limits.min_retention_by_language == {"en": 0.5, "de": 0.6, "he": 0.7}
    assert limits.min_retention_by_group["ours"].values == ("fr", "es", "und")


def test_limits_from_a_file(tmp_path):
    path = tmp_path / "limits.yaml"
    path.write_text(
        "max_toxicity: 0.01\nlicences: [MIT]\nmin_rows: 100\n"
        "min_retention_by_group:\n  women: {words: [woman, women, she], min: 0.5}\n"
    )
    limits = read_typed(path, GuardrailLimits)
    assert limits.max_toxicity == 0.01
    assert limits.min_retention_by_group["women"].words == ("woman", "women", "she")
    with pytest.raises(ValidationError):
        limits.min_rows = 3  # type: ignore[misc]
