from __future__ import annotations

import pytest

from datachef.core.operator import Scene
from datachef.operators.filters.gopher_quality_filter import GopherQualityFilter
from datachef.operators.filters.length_filter import LengthFilter

NOWHERE = Scene(frozenset({"text"}), {})


@pytest.mark.parametrize(
    ("operator", "parameter", "message"),
    [
        (
            LengthFilter(min_chars=9, max_chars=5),
            "min_chars",
            "min_chars 9 is greater than max_chars 5",
        ),
        (
            LengthFilter(min_words=3, max_words=2),
            "min_words",
            "min_words 3 is greater than max_words 2",
        ),
        (
            LengthFilter(min_lines=2, max_lines=1),
            "min_lines",
            "min_lines 2 is greater than max_lines 1",
        ),
        (
            GopherQualityFilter(max_words=40),
            "min_words",
            "min_words 50 is greater than max_words 40",
        ),
        (
            GopherQualityFilter(min_mean_word_length=6, max_mean_word_length=4.5),
            "min_mean_word_length",
            "min_mean_word_length 6.0 is greater than max_mean_word_length 4.5",
        ),
    ],
)
def test_limits_between_which_nothing_lies_are_a_mistake(operator, parameter, message):
    ((found, text, hint),) = operator.objections(NOWHERE)
    assert found == parameter
    assert text == f"{message}: every row is dropped"
    assert parameter.replace("min_", "max_") in hint


@pytest.mark.parametrize(
    "operator",
    [LengthFilter(min_chars=9), LengthFilter(min_words=5, max_words=5), GopherQualityFilter()],
)
def test_other_limits_are_none(operator):
    assert list(operator.objections(NOWHERE)) == []
