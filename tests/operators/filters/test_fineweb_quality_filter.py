from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datachef.operators.filters.fineweb_quality_filter import FineWebQualityFilter

LONG = "This line is long enough that nobody would take it for the item of a menu."
lines = st.lists(st.sampled_from([LONG, "Home", "Ends here.", "", "  ", "是吗？"]), max_size=12)


@given(lines)
@settings(deadline=None, max_examples=150)
def test_signals_are_those_of_a_naive_count(signals, lines):
    text = "\n".join(lines)
    row = signals(FineWebQualityFilter(), [text]).row(0, named=True)
    filled = [line for line in lines if line.strip()]
    again = [line for i, line in enumerate(filled) if line in filled[:i]]
    count = max(len(filled), 1)
    assert row["fineweb_lines"] == len(filled)
    assert row["fineweb_ended_lines"] == sum(line[-1] in ".？" for line in filled) / count
    assert row["fineweb_short_lines"] == sum(len(line) <= 30 for line in filled) / count
    chars = max(len(text.replace("\n", "")), 1)
    assert row["fineweb_repeated_chars"] == pytest.approx(sum(map(len, again)) / chars)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LONG, None),
        (" \n \n", "empty"),
        ("No end here\nNor here", "line_punct_ratio"),
        ("Home.\nNews.\nContact.\n" + LONG, "short_line_ratio"),
        (f"{LONG}\n{LONG}", "char_dup_ratio"),
        (f"{LONG}" + "\n" * 20, "list_ratio"),
    ],
)
def test_reasons(reasons, text, reason):
    assert reasons(FineWebQualityFilter(), [text]) == [reason]


def test_the_length_of_a_short_line_is_no_threshold():
    short = FineWebQualityFilter(short_line_length=10)
    assert short.signal_identity() != FineWebQualityFilter().signal_identity()
