"""Chinese, Japanese, Korean, Thai and Arabic under rules that count words and sentences."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest

from datachef.operators.filters.c4_quality_filter import C4QualityFilter
from datachef.operators.filters.fineweb_quality_filter import FineWebQualityFilter
from datachef.operators.filters.gopher_quality_filter import GopherQualityFilter
from datachef.operators.filters.gopher_repetition_filter import GopherRepetitionFilter
from datachef.operators.text.words import WORDS

FILTERS = [
    GopherQualityFilter(), GopherRepetitionFilter(), C4QualityFilter(), FineWebQualityFilter()
]  # fmt: skip


def rows_of(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我们在学校学习。", ["我们", "在学", "校学", "习", "。"]),
        ("ภาษาไทย", ["ภาษาไ", "ทย"]),
        ("東京タワー2号", ["東京", "タワ", "ー", "2", "号"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("اللغة العربية، نعم", ["اللغة", "العربية", "،", "نعم"]),
        ("well-known 中文", ["well", "-", "known", "中文"]),
    ],
)
def test_words(text, words):
    assert pl.DataFrame({"text": [text]}).select(WORDS).item().to_list() == words


@pytest.mark.parametrize("operator", FILTERS, ids=lambda operator: operator.op)
def test_most_chinese_paragraphs_of_wikipedia_stay(shared_data, reasons, operator):
    rows = rows_of(shared_data / "multilingual/cmrc2018_zh.jsonl.gz")
    texts = list(dict.fromkeys(row["context"] for row in rows))[:300]
    kept = reasons(operator, texts).count(None)
    assert kept / len(texts) > 0.75


@pytest.mark.parametrize("language", ["ar", "el", "hi", "th", "zh"])
def test_most_pages_of_wikipedia_stay(shared_data, reasons, language):
    rows = rows_of(shared_data / "multilingual/xquad.jsonl.gz")
    texts = [row["text"] for row in rows if row["lang"] == language]
    pages = ["\n\n".join(texts[first : first + 5]) for first in range(0, len(texts), 5)]
    for operator in FILTERS:
        found = reasons(operator, pages)
        assert found.count(None) / len(pages) > 0.9, (operator.op, found)


@pytest.mark.parametrize("language", ["arb", "jpn", "kor", "tha", "eng"])
def test_the_declaration_of_human_rights_stays(shared_data, reasons, language):
    rows = rows_of(shared_data / "multilingual/udhr.jsonl.gz")
    texts = [row["text"] for row in rows if row["lang"] == language]
    assert texts
    for operator in FILTERS:
        assert set(reasons(operator, texts)) == {None}, operator.op


def test_chinese_that_is_no_prose_goes(reasons):
    menu = "首页 新闻 体育 天气 联系我们 登录 注册 " * 20
    assert reasons(GopherQualityFilter(), [menu, "太短了。"]) == [
        "too_few_stop_words", "too_few_words"
    ]  # fmt: skip
    again = "我们在学校里学习中文，他们也在那里工作。" * 20
    assert reasons(GopherRepetitionFilter(), [again]) != [None]


def test_stop_words_of_a_language(signals):
    german = "Der Hund und die Katze, das Haus und der Garten"
    for language, number in (("auto", 0), ("en", 0), ("de", 4), ("fr", 0)):
        found = signals(GopherQualityFilter(language=language), [german])
        assert found["gopher_stop_words"].to_list() == [number]
    texts = ["他的书在我的桌子上", "the cat, to be fair", "ภาษาไทยเป็นภาษาที่มี", "и на столе", None]
    assert signals(GopherQualityFilter(), texts)["gopher_stop_words"].to_list() == [3, 3, 3, 2, 0]
    assert signals(GopherQualityFilter(language="zh"), texts)["gopher_stop_words"].to_list() == [
        3, 0, 0, 0, 0
    ]  # fmt: skip
