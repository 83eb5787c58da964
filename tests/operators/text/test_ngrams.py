from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings, strategies as st

from datachef.operators.filters.gopher_repetition_filter import repeated
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


def test_hashes_that_agree_in_their_high_bits_are_told_apart():
    values = np.array([8, 9, 8, 1 << 60, (1 << 60) + 1, 1 << 60, 9, 5, 8], np.uint64)
    groups = repeated(values, np.arange(len(values)))
    found = np.split(groups.positions, groups.begins[1:])
    assert sorted(group.tolist() for group in found) == [[0, 2, 8], [1, 6], [3, 5]]
    assert groups.counts.tolist() == [len(group) for group in found]
