from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from datachef.operators.filters.gopher_repetition_filter import GopherRepetitionFilter
from datachef.operators.text.words import WORDS

words = st.lists(st.sampled_from(["a", "bb", "ccc", "the", "of"]), max_size=60)
blocks = st.lists(st.sampled_from(["one two three", "four", "", "five six", "four"]), max_size=12)


def top(words: list[str], n: int) -> int:
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]
    return len(" ".join(gram)) * count if count > 1 else 0


def duplicated(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    chars = position = 0
    while position <= len(words) - n:
        gram = tuple(words[position : position + n])
        if gram in seen:
            chars += len("".join(gram))
            position += n
        else:
            seen.add(gram)
            position += 1
    return chars


@given(st.lists(words, min_size=1, max_size=5))
@settings(deadline=None, max_examples=150)
def test_ngram_shares_are_those_of_a_naive_count(signals, documents):
    texts = [" ".join(document) for document in documents]
    found = signals(GopherRepetitionFilter(), texts)
    for row, document, text in zip(found.iter_rows(named=True), documents, texts, strict=True):
        chars = max(len(text), 1)
        for n in (2, 3, 4):
            assert row[f"top_{n}_gram"] == pytest.approx(top(document, n) / chars)
        for n in range(5, 11):
            assert row[f"dup_{n}_gram"] == pytest.approx(duplicated(document, n) / chars)


def shares(pieces: list[str], chars: int) -> tuple[float, float]:
    pieces = [piece for piece in pieces if piece]
    again = [piece for i, piece in enumerate(pieces) if piece in pieces[:i]]
    return len(again) / len(pieces), sum(map(len, again)) / chars


@given(blocks, st.sampled_from(["\n", "\n\n", "\n\n\n"]))
@settings(deadline=None, max_examples=150)
def test_line_and_paragraph_shares_are_those_of_a_naive_count(signals, pieces, separator):
    text = "x\n" + separator.join(pieces) + "\nx"
    row = signals(GopherRepetitionFilter(), [text]).row(0, named=True)
    expected = shares(re.split("\n+", text), len(text))
    assert (row["dup_line_frac"], row["dup_line_char_frac"]) == pytest.approx(expected)
    expected = shares(re.split("\n{2,}", text.strip()), len(text))
    assert (row["dup_para_frac"], row["dup_para_char_frac"]) == pytest.approx(expected)


pieces_of_datatrove = st.lists(st.sampled_from(["a b", "a b ", " ", "\r", "c", "\n"]), max_size=9)


@given(pieces_of_datatrove, st.sampled_from(["\n", "\n\n", " "]))
@settings(deadline=None, max_examples=150)
def test_what_datatrove_counts_is_counted_as_there(signals, pieces, separator):
    text = separator.join(["x", *pieces, "y"])
    operator = GopherRepetitionFilter(counting="datatrove")
    row = signals(operator, [text]).row(0, named=True)
    for name, parts in (
        ("para", re.split(r"\n{2,}", text.strip())),
        ("line", re.split(r"\n+", text)),
    ):
        again = [part for place, part in enumerate(parts) if part in parts[:place]]
        assert row[f"dup_{name}_frac"] == pytest.approx(len(again) / len(parts))
        assert row[f"dup_{name}_char_frac"] == pytest.approx(sum(map(len, again)) / len(text))
    words = text.split()
    for n in (2, 3, 4):
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        ((gram, count),) = grams.most_common(1) or [("", 0)]
        assert row[f"top_{n}_gram"] == pytest.approx(len(gram) * count / len(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("Buy now\n" * 5 + "Something else entirely", "dup_line_frac"),
        ("Same paragraph.\n\n" * 3 + "Another one.", "dup_para_frac"),
        ("spam eggs " * 20, "top_2_gram"),
        (
            "Each of the words in this line of prose differs from its neighbours, and although the "
            "sentence goes on for quite a while there is nothing in it that is said a second time.",
            None,
        ),
    ],
)
def test_reasons(reasons, text, reason):
    assert reasons(GopherRepetitionFilter(), [text]) == [reason]


@pytest.mark.parametrize(
    "text",
    [
        "How many apples are left?",
        "2 + 3 = 5",
        "Yes",
        "Ana has 3 pens and buys 4 more. How many does she own now? N0 + N1",
    ],
)
def test_a_short_text_in_which_nothing_repeats_is_kept(signals, reasons, text):
    found = signals(GopherRepetitionFilter(), [text])
    assert [found[f"top_{n}_gram"].item() for n in (2, 3, 4)] == [0, 0, 0]
    assert reasons(GopherRepetitionFilter(), [text]) == [None]


def test_short_rows_are_dropped_only_for_what_they_repeat(shared_data, signals, reasons):
    with gzip.open(shared_data / "pool" / "mawps.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = ["{original_text}\n\n{equation}".format(**json.loads(line)) for line in lines]
    found = signals(GopherRepetitionFilter(), texts)
    for text, row in zip(texts, found.iter_rows(named=True), strict=True):
        words = pl.select(pl.lit(text).alias("text")).select(WORDS).item().to_list()
        for n in (2, 3, 4):
            assert row[f"top_{n}_gram"] == pytest.approx(top(words, n) / len(text))
    dropped = [reason for reason in reasons(GopherRepetitionFilter(), texts) if reason]
    assert 0 < len(dropped) < len(texts) / 5


@pytest.mark.parametrize(
    "blank",
    ["\n\n", "\r\n\r\n", "\r\r", "\n \n", "\n\t \n", "\n\u00a0\n", "\u2028\u2028", "\n\u200b\n"],
)
def test_blank_lines_are_no_duplicates(signals, reasons, blank):
    pieces = ["The first paragraph.", "Then comes a second one.", "Here it ends.", "Or nearly so."]
    text = blank + blank.join(pieces) + blank
    row = signals(GopherRepetitionFilter(), [text]).row(0, named=True)
    assert {name: row[name] for name in row if "line" in name or "para" in name} == dict.fromkeys(
        ("dup_para_frac", "dup_para_char_frac", "dup_line_frac", "dup_line_char_frac"), 0
    )
    assert reasons(GopherRepetitionFilter(), [text]) == [None]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", " \n", "\u00a0\r\n"])
def test_lines_repeat_whatever_ends_them(signals, end):
    row = signals(GopherRepetitionFilter(), [end.join(["Buy now", "Buy now", "Or later"])])
    assert row["dup_line_frac"].item() == pytest.approx(1 / 3)
    assert row["dup_line_char_frac"].item() == pytest.approx(7 / (22 + 2 * len(end)))


def test_thresholds_decide_anew(reasons):
    text = "Buy now\n" * 5 + "Something else entirely"
    lenient = GopherRepetitionFilter(dup_line_frac=1, dup_line_char_frac=1)
    assert reasons(lenient, [text]) != reasons(GopherRepetitionFilter(), [text])
    assert lenient.signal_identity() == GopherRepetitionFilter().signal_identity()
