from __future__ import annotations

import polars as pl
import pytest

from datachef.operators.text.words import WORDS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", "Hello|,|world|!"),
        ("It's Mr. Smith's.", "It|'s|Mr.|Smith|'s|."),
        ("They’ll go, won't they?", "They|’ll|go|,|won|'t|they|?"),
        ("well-known, 24-hour COVID-19", "well|-|known|,|24-hour|COVID-19"),
        ("See https://example.com/a-b?c=1.", "See|https://example.com/a-b?c=1|."),
        ("3.14 1,000 10:30 v2.0", "3.14|1,000|10:30|v2.0"),
        ("Wait... what?!", "Wait|...|what|?|!"),
        ("(a) [b] {c}", "(|a|)|[|b|]|{|c|}"),
        ("end.Next and/or x=y", "end|.|Next|and|/|or|x|=|y"),
        ("snake_case foo.bar a@b.org", "snake_case|foo.bar|a@b.org"),
        ("-----", "-----"),
        ("L'Oréal café Москва שלום 世界", "L'Oréal|café|Москва|שלום|世界"),
        ("😀😀", "😀|😀"),
        (" \t\n ", ""),
    ],
)
def test_words(text, words):
    found = pl.DataFrame({"text": [text]}).select(WORDS)["text"][0].to_list()
    assert found == words.split("|") if words else found == []


def test_no_character_but_spaces_is_lost():
    text = 'A [link](http://x.org/y), "quoted" 50% – of £5; naïve… \x00 ½ x² \'tis #1!'
    found = pl.DataFrame({"text": [text]}).select(WORDS)["text"][0].to_list()
    assert "".join(found) == "".join(text.split())
