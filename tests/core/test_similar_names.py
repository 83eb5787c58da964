"""Hints name what a word may be meant for, and nothing that merely has an ending in common."""

from __future__ import annotations

import pytest

from datachef.core.errors import did_you_mean
from datachef.core.similar_names import similar_names

OPERATORS = [
    "back_translate",
    "c4_quality_filter",
    "classifier_filter",
    "exact_dedup",
    "extract_html",
    "fix_unicode",
    "gopher_quality_filter",
    "ifd_filter",
    "judge_score",
    "language_filter",
    "length_filter",
    "line_dedup",
    "minhash_dedup",
    "perplexity_filter",
    "regex_filter",
    "rouge_dedup",
    "script_filter",
    "shuffle",
    "simhash_dedup",
    "text_length_filter",
    "url_filter",
]
FIELDS = ["description", "mix", "name", "output", "pool", "seed", "sources", "steps", "task"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("gopher_qualty_filter", ["gopher_quality_filter"]),
        ("GopherQualityFilter", ["gopher_quality_filter"]),
        ("langage_filter", ["language_filter"]),
        ("html_extract", ["extract_html"]),
        ("translate", ["back_translate"]),
        ("judge", ["judge_score"]),
        ("shufle", ["shuffle"]),
        ("url_dedup", ["url_filter"]),
        ("length_filtre", ["length_filter", "text_length_filter"]),
        ("pii_filter", []),  # nothing like ifd_filter
        ("image_filter", []),
        ("fuzzy_dedup", []),
        ("summarize", []),
    ],
)
def test_operators_that_may_be_meant(word: str, meant: list[str]) -> None:
    assert similar_names(word, OPERATORS) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [("ouput", ["output"]), ("stepz", ["steps"]), ("filters", []), ("model", []), ("", [])],
)
def test_fields_that_may_be_meant(word: str, meant: list[str]) -> None:
    assert similar_names(word, FIELDS) == meant


def test_a_far_word_gets_the_list_and_a_near_one_what_is_near() -> None:
    assert did_you_mean("slurm", ["local", "inline"]) == "known here: inline, local"
    assert did_you_mean("inlin", ["local", "inline"]) == "did you mean inline?"
    assert did_you_mean("web", []) == ""


@pytest.mark.parametrize("word", ["_" * 300, "é", "🐋", "a" * 100_000, "x_" * 10_000])
def test_odd_words_are_like_nothing(word: str) -> None:
    assert similar_names(word, ["web", "", "___", "b" * 1_000, "pages"]) in ([], ["___"])
