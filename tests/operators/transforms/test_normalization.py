"""White space and punctuation become ordinary, and nothing else changes."""

from __future__ import annotations

import unicodedata
from typing import Any

import polars as pl
from hypothesis import given, strategies as st

from datachef.operators.transforms.normalize_punctuation import NormalizePunctuation
from datachef.operators.transforms.normalize_whitespace import NormalizeWhitespace

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


def spaces(text: str, **parameters: Any) -> str:
    return str(NormalizeWhitespace(**parameters).rewrite(pl.Series([text]))[0])


def punctuation(text: str) -> str:
    return str(NormalizePunctuation().rewrite(pl.Series([text]))[0])


def test_spaces_of_all_kinds() -> None:
    assert spaces("\ta\u00a0b\u3000c\u200bd\u2009e\ufefff\tg\n h ") == "a b c d e f g\n h"
    assert spaces("می\u200cخواهم 👩\u200d👧") == "می\u200cخواهم 👩\u200d👧"
    assert spaces("if x:\n\treturn", keep_tabs=True) == "if x:\n\treturn"


def test_spaces_and_blank_lines_in_a_row() -> None:
    text = "a   b  \n \n\t\n\nc\r\n\r\n\r\nd"
    assert spaces(text, collapse_spaces=True, max_blank_lines=1) == "a b\n\nc\n\nd"
    assert spaces(text, max_blank_lines=0) == "a   b  \nc\nd"


@given(TEXT)
def test_no_letter_is_lost_and_nothing_is_left_to_do(text: str) -> None:
    result = spaces(text, collapse_spaces=True, max_blank_lines=1)
    assert spaces(result, collapse_spaces=True, max_blank_lines=1) == result
    letters = [c for c in text if unicodedata.category(c)[0] in "LMNPS" and c != "\ufffc"]
    assert [c for c in result if unicodedata.category(c)[0] in "LMNPS"] == letters
    assert "\u00a0" not in result


def test_punctuation_is_that_of_ccnet() -> None:
    assert punctuation("你好，世界。「是」—“Yes”…〈a〉【b】５０％") == (
        '你好,世界."是" - "Yes"...<a>[b]５０%'
    )
    assert punctuation("１ ’ ►") == "１ ' -"


@given(TEXT)
def test_only_punctuation_changes(text: str) -> None:
    result = punctuation(text)
    assert punctuation(result) == result
    kept = [c for c in text if unicodedata.category(c)[0] in "LMN"]
    assert [c for c in result if unicodedata.category(c)[0] in "LMN"] == kept
