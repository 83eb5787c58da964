from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datachef.operators.filters.gopher_repetition_filter import GopherRepetitionFilter

words = st.lists(st.sampled_from(["a", "bb", "ccc", "the", "of"]), max_size=60)
blocks = st.lists(st.sampled_from(["one two three", "four", "", "five six", "four"]), max_size=12)


def top(words: list[str], n: int) -> int:
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]
    return len(" ".join(gram)) * count


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


def test_thresholds_decide_anew(reasons):
    text = "Buy now\n" * 5 + "Something else entirely"
    lenient = GopherRepetitionFilter(dup_line_frac=1, dup_line_char_frac=1)
    assert reasons(lenient, [text]) != reasons(GopherRepetitionFilter(), [text])
    assert lenient.signal_identity() == GopherRepetitionFilter().signal_identity()
