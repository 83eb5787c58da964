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
        ("你好吗？我很好。他说：「今天下雨了。」我们走吧！", 4),
        ("雨が降った。外に出ない。「本当？」と彼女は言った。", 4),
        ("क्या यह सच है। हाँ यह सच है। बहुत अच्छा है।", 3),
        ("هل هذا صحيح؟ نعم هذا صحيح.", 2),
        ("ይህ አንድ ነው። ይህ ሁለት ነው።", 2),
        ("Windows ends lines so.\r\nAnd the old Mac so.\rIt counts all.", 3),
    ],
)
def test_sentences(signals, text, sentences):
    assert signals(C4QualityFilter(), [text])["c4_sentences"].to_list() == [sentences]


def test_a_page_without_spaces_is_a_page(reasons):
    sentence = "小明有十二个苹果，他给了小红五个，还剩下几个苹果？"
    assert reasons(C4QualityFilter(), [sentence * 5, sentence * 60, "苹果。\n" * 9]) == [
        None, None, None
    ]  # fmt: skip
    assert reasons(C4QualityFilter(min_words_per_line=4), ["苹果。\n" * 9]) == ["too_few_sentences"]


def test_switches(reasons):
    text = f"{FIVE}\nA brace {{ stands here."
    assert reasons(C4QualityFilter(drop_curly_bracket=False), [text]) == [None]
    assert reasons(C4QualityFilter(min_sentences=7, drop_curly_bracket=False), [text]) == [
        "too_few_sentences"
    ]
    assert reasons(C4QualityFilter(terminal_punctuation=False), ["no end of it { here"]) == [
        "curly_bracket"
    ]
