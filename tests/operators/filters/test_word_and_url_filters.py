"""Filters that read lists from files, and mC4's rule on paragraphs."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest

from datachef.core.run.signals import decide, measure
from datachef.operators.filters.bad_words_filter import BadWordsFilter
from datachef.operators.filters.c4_paragraph_filter import C4ParagraphFilter
from datachef.operators.filters.url_filter import UrlFilter


@pytest.fixture
def listed(tmp_path):
    def write(*entries):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.txt"
        path.write_text("\n".join(entries), encoding="utf-8")
        return str(path)

    return write


def test_paragraphs(signals, reasons):
    long, short = "x" * 200, "y" * 199
    texts = [
        "\n".join([long] * 3),
        "\n".join([long, long, short]),
        f"{long}\r\n{long}\r\n{long}",
        "",
    ]
    assert signals(C4ParagraphFilter(), texts)["c4_paragraphs"].to_list() == [3, 2, 3, 0]
    assert reasons(C4ParagraphFilter(), texts) == [
        None, "too_few_paragraphs", None, "too_few_paragraphs"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A classic glass.", ""),
        ("What an ASS!", "ass"),
        ("ass-backwards", "ass"),
        ("a bad thing happened", "bad thing"),
        ("a bad\nthing happened", ""),
        ("f**king no, f**k it", "f**k"),
        ("这是色情网站", "色情"),
        ("go away🖕now", "🖕"),
        ("Straße, scheiße!", "scheiße"),
        ("scheißegal", ""),
    ],
)
def test_bad_words(listed, text, found):
    operator = BadWordsFilter(
        words=listed("# list", "Ass", "bad thing", "f**k", "色情", "🖕", "scheiße")
    )
    rows = pl.DataFrame({"text": [text, None]})
    reasons = decide(operator, rows.hstack(measure(operator, rows))).to_list()
    assert reasons == ["bad_words" if found else None, None]
    assert operator.details(rows)[0] == found


def test_bad_words_of_real_lists_on_real_pages(shared_data, listed, signals):
    """On English pages the list of English finds what a search word by word finds."""
    entries = (shared_data / "noise" / "bad_words.jsonl").read_text(encoding="utf-8").splitlines()
    words = {row["text"].lower() for row in map(json.loads, entries) if row["lang"] == "en"}
    with gzip.open(shared_data / "web" / "part-001.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [json.loads(line)["text"] for line, _ in zip(lines, range(600), strict=False)]
    found = signals(BadWordsFilter(words=listed(*words)), pages)["bad_words"] > 0
    single = {word for word in words if word.isalnum()}
    split = pl.Series(pages).str.to_lowercase().str.extract_all(r"\w+")
    expected = [bool(single & set(page)) for page in split]
    assert 0 < sum(expected) < 100
    assert [f or not e for f, e in zip(found, expected, strict=True)] == [True] * len(pages)
    assert found.sum() - sum(expected) < 10  # those with an expression of several words


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://bad.com", "listed_host"),
        ("https://a.b.Bad.com.:8080/x", "listed_host"),
        ("bad.com/path", "listed_host"),
        ("https://user@bad.com?q=1", "listed_host"),
        ("http://notbad.com/bad.com", None),
        ("https://fine.org/page", "listed_url"),
        ("https://fine.org/page2", None),
        ("http://x.org/some-casino/1", "banned_word"),
        ("http://x.org/casinos/1", None),
        ("http://x.org/poker_bonus", "too_many_soft_words"),
        ("http://x.org/poker-poker", None),
        ("http://www.abcxxx-videos.org", "banned_part"),
        ("", None),
        (None, None),
    ],
)
def test_urls(listed, url, reason):
    operator = UrlFilter(
        hosts=listed("bad.com", "# a comment"),
        urls=listed("https://fine.org/page"),
        banned_words=listed("casino"),
        soft_words=listed("poker", "bonus"),
        banned_parts=listed("xxxvideo"),
    )
    rows = pl.DataFrame({"url": [url]}, schema={"url": pl.String})
    signals = measure(operator, rows)
    assert decide(operator, rows.hstack(signals)).to_list() == [reason]
    assert not list(operator.check(None))


def test_a_url_filter_needs_a_list(listed):
    assert [problem[1] for problem in UrlFilter().check(None)] == ["there is no list to drop by"]
    (problem,) = UrlFilter(hosts=listed("# nothing")).check(None)
    assert problem[:2] == ("hosts", "the list has no words")
