"""Rows that share a key are copies, and exactly one of each cluster stays."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import Context
from datachef.operators.dedup.copies import copies
from datachef.operators.dedup.exact_dedup import ExactDedup
from datachef.operators.dedup.minhash_dedup import MinHashDedup

CONTEXT = Context(seed=0)
KEYS = st.lists(st.tuples(*[st.one_of(st.none(), st.integers(0, 12))] * 3), max_size=40)


def rows(*texts: str | None) -> pl.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    return pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String})


def dropped(operator: ExactDedup, batch: pl.DataFrame) -> list[str]:
    return operator.resolve(operator.summarize(batch).lazy(), CONTEXT)["id"].to_list()


def clusters_by_search(table: list[tuple[int | None, ...]]) -> list[set[int]]:
    """The connected components, found one row at a time."""
    left, found = set(range(len(table))), []
    while left:
        cluster, edge = set(), {min(left)}
        while edge:
            cluster |= edge
            near = {
                j
                for i in edge
                for j in left
                for a, b in zip(table[i], table[j], strict=True)
                if a is not None and a == b
            }
            edge = near - cluster
        left -= cluster
        found.append(cluster)
    return found


@given(KEYS)
def test_the_first_of_each_cluster_stays(table: list[tuple[int | None, ...]]) -> None:
    columns = {f"key_{c}": pl.Series([row[c] for row in table], dtype=pl.UInt64) for c in range(3)}
    ids = pl.Series([str(i) for i in range(len(table))], dtype=pl.String)
    decision = copies(pl.LazyFrame({"id": ids, **columns}), "copy")
    later = [i for cluster in clusters_by_search(table) for i in sorted(cluster)[1:]]
    assert decision["id"].to_list() == [str(i) for i in sorted(later)]
    assert set(decision["reason"]) <= {"copy"}
    first = {i: min(cluster) for cluster in clusters_by_search(table) for i in cluster}
    assert decision["detail"].to_list() == [f"a copy of {first[i]}" for i in sorted(later)]


@pytest.mark.parametrize("operator", [ExactDedup(), MinHashDedup()], ids=lambda one: one.op)
def test_a_dropped_row_says_which_row_it_copies(operator: ExactDedup | MinHashDedup) -> None:
    text = "The same text stands in this place three times over, word for word."
    batch = rows("Another one, which is here once.", text, text, text)
    batch = batch.with_columns(pl.lit("s").alias("source"), pl.lit("mine").alias("detail"))
    outcome = operator.apply(batch, operator.resolve(operator.summarize(batch).lazy(), CONTEXT))
    assert outcome.rows["detail"].to_list() == ["mine", "mine"]
    assert outcome.dropped is not None
    assert outcome.dropped.select("id", "detail").rows() == [
        ("2", "a copy of 1"),
        ("3", "a copy of 1"),
    ]


def test_a_long_chain_of_links_is_one_cluster() -> None:
    chain = pl.LazyFrame(
        {
            "id": [str(i) for i in range(1000)],
            "a": [i // 2 for i in range(1000)],
            "b": [(i + 1) // 2 for i in range(1000)],
        }
    )
    assert copies(chain, "copy").height == 999


@given(st.lists(st.text(alphabet="aA ?", max_size=3)), st.integers(0, 9), st.booleans())
def test_batch_cuts_do_not_matter(texts: list[str], cut: int, normalize: bool) -> None:
    batch, operator = rows(*texts), ExactDedup(normalize=normalize)
    together = operator.summarize(batch)
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    assert pl.concat(parts).equals(together)
    assert batch.height - len(dropped(operator, batch)) == together["key"].n_unique()


def test_texts_are_compared_to_the_byte() -> None:
    batch = rows("One text.", "one text", "One text.", "", "", None, None)
    assert dropped(ExactDedup(), batch) == ["2", "4"]


@pytest.mark.parametrize(
    "other", ["ONE TEXT", "one\n\ttext!", "o\u00a0ne text", "\uff4fne text", "One, 'text'"]
)
def test_normalized_texts_differ_in_letters_and_digits_only(other: str) -> None:
    assert dropped(ExactDedup(normalize=True), rows("One text.", other)) == ["1"]
    assert dropped(ExactDedup(), rows("One text.", other)) == []


def test_rows_of_symbols_are_not_copies_of_one_another() -> None:
    assert dropped(ExactDedup(normalize=True), rows("???", "!!!", "???")) == ["2"]


def test_the_decision_is_carried_out_with_its_reason() -> None:
    operator, batch = ExactDedup(), rows("a", "b", "a")
    outcome = operator.apply(batch, operator.resolve(operator.summarize(batch).lazy(), CONTEXT))
    assert outcome.rows["id"].to_list() == ["0", "1"]
    assert outcome.dropped is not None
    assert outcome.dropped["reason"].to_list() == list(operator.reasons())
