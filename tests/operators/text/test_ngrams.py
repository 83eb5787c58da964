from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings, strategies as st

from datachef.operators.text.duplicated_ngrams import first_occurrences
from datachef.operators.text.words import ngram_hashes, word_hashes

documents = st.lists(st.lists(st.sampled_from("abcd"), max_size=12), max_size=6)


@given(documents, st.integers(1, 6))
@settings(deadline=None)
def test_equal_ngrams_and_only_they_have_equal_hashes(documents, n):
    words = pl.Series(documents, dtype=pl.List(pl.String))
    hashes, offsets = ngram_hashes(*word_hashes(words), n)
    expected = [tuple(d[i : i + n]) for d in documents for i in range(len(d) - n + 1)]
    assert len(hashes) == len(expected) == offsets[-1]
    assert np.diff(offsets).tolist() == [max(len(d) - n + 1, 0) for d in documents]
    assert len(set(zip(hashes.tolist(), expected, strict=True))) == len(set(expected))
    assert len(set(hashes.tolist())) == len(set(expected))


def test_missing_words_are_no_words():
    words = pl.Series([["a"], None, [], ["a", "b"]], dtype=pl.List(pl.String))
    hashes, offsets = word_hashes(words)
    assert offsets.tolist() == [0, 1, 1, 1, 3]
    assert hashes[0] == hashes[1] != hashes[2]


hashes = st.integers(0, 2**64 - 1) | st.integers(0, 8) | st.integers(0, 7).map(lambda n: n << 61)


@given(st.lists(hashes, max_size=60))
@settings(deadline=None)
def test_every_hash_is_found_where_it_stands_first(values):
    found = first_occurrences(np.array(values, np.uint64))
    assert found.tolist() == [values.index(value) for value in values]
