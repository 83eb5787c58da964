from __future__ import annotations

import pytest
from pydantic import ValidationError

from datachef.operators.filters.regex_filter import RegexFilter

TEXTS = ["call 555 1234", "no number", "", "7"]


@pytest.mark.parametrize(
    ("parameters", "dropped"),
    [
        ({"patterns": (r"\d+",)}, [True, False, False, True]),
        ({"patterns": (r"\d+",), "action": "keep"}, [False, True, True, False]),
        ({"patterns": (r"\d+",), "min_matches": 2}, [True, False, False, False]),
        ({"patterns": (r"(?i)CALL", "number$")}, [True, True, False, False]),
    ],
)
def test_drops(reasons, parameters, dropped):
    operator = RegexFilter(**parameters)
    found = reasons(operator, TEXTS)
    assert [reason is not None for reason in found] == dropped
    assert set(found) - {None} == set(operator.reasons())


@pytest.mark.parametrize("pattern", ["(", "[a", "(?=a)", r"(a)\1", ""])
def test_a_pattern_that_does_not_compile_is_a_parameter_error(pattern):
    with pytest.raises(ValidationError, match="patterns"):
        RegexFilter(patterns=(pattern,))
