from __future__ import annotations

import pytest

from datachef.operators.filters.c4_quality_filter import C4QualityFilter

FIVE = "It rained. We stayed inside. Did you go out? I did not! It was cold."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FIVE, None),
        (FIVE.replace(". ", ".\n"), "too_few_sentences"),  # lines of two words do not count
        ("It rained all day. We stayed inside.", "too_few_sentences"),
        ("", "too_few_sentences"),
        (f"{FIVE}\nLorem Ipsum dolor sit amet.", "lorem_ipsum"),
        (f"{FIVE}\nLorem ipsum without an end", None),
        (f"{FIVE}\nif (x) {{ return y. \nThen {{ it ends.", "curly_bracket"),
        (f"{FIVE}\nif (x) {{ return y }}", None),
    ],
)
def test_reasons(reasons, text, reason):
    assert reasons(C4QualityFilter(), [text]) == [reason]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One sentence is here.", 1),
        ("J. R. Smith met us in the U.S. capital on that day.", 1),
        ("Version 3.14 of it works. See example.com for more.", 2),
        ("He waited... and then he left.", 1),
        ('"Is it true?" she asked. "Yes!"', 3),
        ("Wait for it?! There it goes.", 2),
        ("A line in the middle\nThe only one that counts.", 1),
        ("Windows ends lines so.\r\nAnd the old Mac so.\rIt counts all.", 3),
    ],
)
def test_sentences(signals, text, sentences):
    assert signals(C4QualityFilter(), [text])["c4_sentences"].to_list() == [sentences]


def test_switches(reasons):
    text = f"{FIVE}\nA brace {{ stands here."
    assert reasons(C4QualityFilter(drop_curly_bracket=False), [text]) == [None]
    assert reasons(C4QualityFilter(min_sentences=7, drop_curly_bracket=False), [text]) == [
        "too_few_sentences"
    ]
    assert reasons(C4QualityFilter(terminal_punctuation=False), ["no end of it { here"]) == [
        "curly_bracket"
    ]
