from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from datachef.operators.filters.fineweb_quality_filter import FineWebQualityFilter
from datachef.operators.transforms.clean_c4_lines import CleanC4Lines
from datachef.operators.transforms.fix_unicode import FixUnicode

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
        ("No end here\nNor here", "too_few_ended_lines"),
        ("Home.\nNews.\nContact.\n" + LONG, "too_many_short_lines"),
        (f"{LONG}\n{LONG}", "too_many_repeated_chars"),
        (f"{LONG}" + "\n" * 20, "too_many_newlines"),
    ],
)
def test_reasons(reasons, text, reason):
    assert reasons(FineWebQualityFilter(), [text]) == [reason]


def test_newlines_alone_end_lines(signals):
    lines = [LONG, "Home", "\u00a0", "Ends here.", "\u200b", "Home"]
    row = signals(FineWebQualityFilter(), ["\n".join(lines)]).row(0, named=True)
    assert row["fineweb_lines"] == 4
    assert row["fineweb_ended_lines"] == 2 / 4
    assert row["fineweb_short_lines"] == 3 / 4
    assert row["fineweb_repeated_chars"] == pytest.approx(4 / sum(map(len, lines)))
    assert row["fineweb_newline_ratio"] == pytest.approx(5 / 23)
    for end in ("\r", "\u2028", "\x0c"):
        row = signals(FineWebQualityFilter(), [end.join(lines)]).row(0, named=True)
        assert row["fineweb_lines"] == 1
    row = signals(FineWebQualityFilter(), ["\r\n".join(lines)]).row(0, named=True)
    assert (row["fineweb_lines"], row["fineweb_ended_lines"]) == (4, 0)


@pytest.mark.parametrize("first", [FixUnicode(), CleanC4Lines()])
def test_steps_before_make_newlines_of_other_ends(signals, first):
    clean = first.rewrite(pl.Series(["\r\n".join([LONG] * 3)]))[0]
    assert signals(FineWebQualityFilter(), [clean])["fineweb_ended_lines"].item() == 1


@pytest.mark.parametrize("mark", list(".!?。！？．｡؟۔।॥።։៖។៕‼⁇⸮܂"))
def test_marks_of_any_script_end_a_line(signals, mark):
    assert (
        signals(FineWebQualityFilter(), [f"{LONG[:-1]}{mark}"])["fineweb_ended_lines"].item() == 1
    )


def test_the_length_of_a_short_line_is_no_threshold():
    short = FineWebQualityFilter(short_line_length=10)
    assert short.signal_identity() != FineWebQualityFilter().signal_identity()
