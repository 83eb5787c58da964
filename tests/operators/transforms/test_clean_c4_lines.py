from __future__ import annotations

import polars as pl
import pytest

from datachef.operators.transforms.clean_c4_lines import CleanC4Lines


def clean(text: str, **parameters: object) -> str:
    return str(CleanC4Lines(**parameters).rewrite(pl.Series([text]))[0])


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Home\nAbout us\nThis line is prose.\n", "This line is prose."),
        ("  Spaces go away. \n\nThis is kept!", "Spaces go away.\nThis is kept!"),
        ("It is known[12] to be so.[3]", "It is known to be so."),
        ("A heading with a source[edit]", ""),
        ("An unfinished thought...\nIs it so?", "Is it so?"),
        ("Please enable Javascript to go on.\nThe text is here.", "The text is here."),
        ("Read our Privacy Policy at once.\nThe text is here.", "The text is here."),
        ("Two words.\nNow three words.", "Now three words."),
        (f"A {'x' * 1001} word here.", ""),
        (
            "首页\n今天下雨了。\n「我们走吧！」\n他说：“好。”",
            "今天下雨了。\n「我们走吧！」\n他说：“好。”",
        ),
        ("यह एक वाक्य है।\nमुख्य पृष्ठ यहाँ है", "यह एक वाक्य है।"),
        ("هل هذا صحيح الآن؟\nالصفحة الرئيسية هنا", "هل هذا صحيح الآن؟"),
        ("Τι κάνεις εσύ τώρα;\nFirst this; then that;", "Τι κάνεις εσύ τώρα;"),
        ("Τι κάνεις εσύ τώρα\u037e", "Τι κάνεις εσύ τώρα\u037e"),
        (
            "He said “I will go.”\nThe motto was «Go on»",
            "He said “I will go.”\nThe motto was «Go on»",
        ),
        ("An unfinished thought…\n没有说完的话……", ""),
        (
            "Trailing space is here. \r\n\u00a0\r\nAnd here too.\u2028Menu",
            "Trailing space is here.\nAnd here too.",
        ),
        ("First line here.\rSecond line here.", "First line here.\nSecond line here."),
        ("Braces {stay} for the filter.", "Braces {stay} for the filter."),
        ("", ""),
    ],
)
def test_clean(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("No end of it", {"terminal_punctuation": False}),
        ("Two words.", {"min_words_per_line": 2}),
        ("I write JavaScript all day.", {"drop_javascript": False}),
        ("I read privacy policy texts.", {"drop_policy": False}),
        ("It is so [1].", {"remove_citations": False}),
    ],
)
def test_switches(text, parameters):
    assert clean(text, **parameters) == text
    assert clean(text) != text


def test_documents_stay_apart():
    batch = pl.DataFrame(
        {"id": ["a", "b", "c"], "text": ["This is kept.\nMenu", "Menu", "And this is too."]}
    )
    outcome = CleanC4Lines().process(batch)
    assert outcome.rows["text"].to_list() == ["This is kept.", "And this is too."]
    assert outcome.dropped is not None
    assert outcome.dropped["id"].to_list() == ["b"]
