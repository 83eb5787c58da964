from __future__ import annotations

import pytest

from datachef.operators.filters.length_filter import LengthFilter


def test_signals(signals):
    found = signals(LengthFilter(), ["Two words\n\n  and more.\n", "é😀", ""])
    assert found["length_chars"].to_list() == [23, 2, 0]
    assert found["length_words"].to_list() == [5, 2, 0]
    assert found["length_lines"].to_list() == [2, 1, 0]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, None),
        ({"min_chars": 12}, "too_few_chars"),
        ({"max_chars": 10}, "too_many_chars"),
        ({"min_chars": 11, "max_chars": 11}, None),
        ({"min_words": 3}, "too_few_words"),
        ({"max_words": 1}, "too_many_words"),
        ({"min_lines": 2}, "too_few_lines"),
        ({"max_lines": 1}, None),
    ],
)
def test_reasons(reasons, parameters, reason):
    assert reasons(LengthFilter(**parameters), ["hello world"]) == [reason]
