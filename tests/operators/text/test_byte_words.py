from __future__ import annotations

import gzip
import json
from itertools import pairwise

import polars as pl
from hypothesis import given, strategies as st

from datachef.operators.text.byte_words import lower_case_word_hashes, lower_case_words
from datachef.operators.text.characters import code_points
from datachef.operators.text.words import UNSPACED

WORD = rf"[{UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]+"
ODD = [
    None, "", " ", "a", "é", "Ünï-cödé_9", "中文abc漢字。ไทย", "ΑΣ Σ", "İstanbul", "K\u212a",
    "a\x00b", "x" * 200 + " " + "x" * 201, "𝒳𝒴 𐐀b 🙂c", "e\u0301e", "\u3000", "١٢٣", "123_456",
]  # fmt: skip


def words_of(texts: pl.Series) -> list[list[str]]:
    """The words as strings, text by text."""
    words, offsets = lower_case_words(texts)
    data = words.data.tobytes()
    found = [data[a:b].decode() for a, b in zip(words.starts, words.ends, strict=True)]
    return [found[a:b] for a, b in pairwise(offsets)]


def by_pattern(texts: pl.Series) -> list[list[str]]:
    return texts.fill_null("").str.to_lowercase().str.extract_all(WORD).to_list()


@given(
    st.lists(
        st.text(st.sampled_from("aZ_9 .-é中ไ語Σ🙂𝒳\x00\u0301ß") | st.characters(codec="utf-8"))
    )
)
def test_words_are_the_matches_of_a_pattern(texts):
    series = pl.Series([*texts, *ODD], dtype=pl.String)
    assert words_of(series) == by_pattern(series)


def test_words_of_real_texts(shared_data):
    texts = []
    for name in ("multilingual/udhr", "multilingual/xquad", "web/part-000"):
        with gzip.open(shared_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"][:2000] for line in list(lines)[::10]]
    series = pl.Series(texts)
    assert words_of(series) == by_pattern(series)
    assert words_of(series[50:60]) == by_pattern(series[50:60])


@given(st.lists(st.sampled_from(["a", "b a", "word " * 30, "x" * 100, "é 中", ""]), max_size=30))
def test_hashes_are_those_of_the_words(texts):
    series = pl.Series(texts, dtype=pl.String)
    hashes, offsets = lower_case_word_hashes(series)
    flat = [word for words in words_of(series) for word in words]
    assert len(hashes) == len(flat) == offsets[-1]
    assert len(set(hashes.tolist())) == len(set(flat))
    known = dict(zip(flat, hashes.tolist(), strict=True))
    assert [known[word] for word in flat] == hashes.tolist()


def test_a_hash_is_the_same_everywhere():
    hashes, _ = lower_case_word_hashes(pl.Series(["a The extraordinary " + "z" * 70]))
    assert hashes.tolist() == [
        17511437127852498108,
        4667343462997458338,
        6556281666053518784,
        13545943441101421396,
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_code_points_are_those_of_python(texts):
    points, offsets = code_points(pl.Series(texts, dtype=pl.String))
    assert points.tolist() == [ord(character) for text in texts for character in text]
    assert [len(text) for text in texts] == [b - a for a, b in pairwise(offsets.tolist())]
