"""Rows go whose fingerprints differ in few bits from those of rows that stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from duplicates import copies, rows
from hypothesis import given, strategies as st

from datachef.operators.dedup.simhash_dedup import SimHashDedup


def test_a_text_with_one_word_changed_goes_and_another_text_stays() -> None:
    text = " ".join(f"word{i * 7919 % 10007}" for i in range(600))
    changed = text.replace("word7919 ", "other ").upper()
    other = " ".join(f"word{i * 7919 % 10007}" for i in range(700, 1300))
    assert copies(SimHashDedup(), rows(text, other, changed)) == {"2": "a copy of 0"}


def test_short_texts_are_compared_by_their_words_and_empty_ones_stay() -> None:
    batch = rows("one two", "One, two!", "one three", "", "", None, None, "?!", "?!")
    assert copies(SimHashDedup(distance=0, blocks=2), batch) == {"1": "a copy of 0"}


def test_repetition_does_not_decide() -> None:
    line = "all rights reserved by the owners of this page " * 40
    one, two = (" ".join(f"{name}{i}" for i in range(200)) for name in ("left", "right"))
    assert not copies(SimHashDedup(), rows(line + one, line + two))


@given(st.lists(st.text(alphabet="ab ", max_size=30), max_size=12), st.integers(0, 12))
def test_batch_cuts_do_not_matter(texts: list[str], cut: int) -> None:
    operator, batch = SimHashDedup(ngram=2), rows(*texts)
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    assert pl.concat(parts).equals(operator.summarize(batch))


@pytest.mark.parametrize(("distance", "blocks"), [(4, 6), (3, 4), (0, 2)])
def test_every_pair_of_real_pages_within_the_distance_is_found(
    distance: int, blocks: int, shared_data: Path
) -> None:
    pages = pl.read_ndjson(shared_data / "web" / "part-000.jsonl.gz").head(1200)
    operator = SimHashDedup(distance=distance, blocks=blocks)
    summaries = operator.summarize(pages)
    prints = summaries["fingerprint"].to_numpy()
    number = {row: i for i, row in enumerate(pages["id"])}
    gone = copies(operator, pages)
    for row, detail in gone.items():
        kept = detail.removeprefix("a copy of ")
        assert kept not in gone
        assert np.bitwise_count(prints[number[row]] ^ prints[number[kept]]) <= distance
    stay = [number[row] for row in pages["id"] if row not in gone]
    for at, row in enumerate(stay):
        later = prints[stay[at + 1 :]]
        assert not (np.bitwise_count(later ^ prints[row]) <= distance).any()
