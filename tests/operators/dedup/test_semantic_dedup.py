"""Rows that mean the same go, by the embeddings of MiniLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from decisions import decision_on
from duplicates import copies, rows
from hypothesis import given, strategies as st

from datachef.core import Context, embedder
from datachef.operators.dedup.semantic_dedup import SemanticDedup

CONTEXT = Context(seed=3)


def test_other_words_for_the_same_go_and_blank_rows_stay(minilm: Path) -> None:
    batch = rows(
        "A cat sat on the mat.",
        "Stock markets fell sharply after the announcement.",
        "",
        None,
        "The cat was sitting on the mat.",
        "After the announcement, the stock markets fell sharply, as everybody had expected.",
        "\n",
    )
    operator = SemanticDedup(similarity=0.8)
    assert copies(operator, batch) == {"4": "a copy of 0", "5": "a copy of 1"}
    assert set(copies(SemanticDedup(similarity=0.8, keep="longest"), batch)) == {"0", "1"}
    assert copies(SemanticDedup(), batch) == {}


def test_real_questions_are_dropped_for_similar_ones_that_stay(
    minilm: Path, shared_data: Path
) -> None:
    questions = pl.read_ndjson(shared_data / "pool" / "gsm_symbolic_p2.jsonl.gz")["question"]
    batch = rows(*questions.unique(maintain_order=True).head(120))
    operator = SemanticDedup(similarity=0.9, cluster_rows=30)
    gone = copies(operator, batch)
    assert 20 < len(gone) < 115
    vectors = embedder("minilm").embed(batch["text"])
    for row, detail in gone.items():
        kept = detail.removeprefix("a copy of ")
        assert kept not in gone
        assert vectors[int(row)] @ vectors[int(kept)] >= 0.9 - 1e-5
    # Clusters part few of the pairs: whatever is that similar is found in one cluster.
    whole = copies(SemanticDedup(similarity=0.9, cluster_rows=1000), batch)
    assert len(gone) >= 0.9 * len(whole)
    stay = [i for i in range(batch.height) if str(i) not in whole]
    near = vectors[stay] @ vectors[stay].T - np.eye(len(stay), dtype=np.float32)
    assert near.max() < 0.9


def unit(angle: float) -> list[float]:
    return [np.cos(angle), np.sin(angle)]


@given(
    st.lists(st.floats(0, 6.28), max_size=60),
    st.integers(0, 3),
    st.booleans(),
)
def test_each_goes_for_one_that_stays(angles: list[float], references: int, ranked: bool) -> None:
    """On a circle, where clusters and similarities can be followed."""
    size = len(angles)
    summaries = pl.DataFrame(
        {
            "id": pl.Series(map(str, range(size)), dtype=pl.String),
            "embedding": pl.Series([unit(a) for a in angles], dtype=pl.Array(pl.Float32, 2)),
            "filled": pl.Series([True] * size, dtype=pl.Boolean),
            **({"rank": [float(i % 5) for i in range(size)]} if ranked else {}),
        }
    )
    references = min(references, size)
    operator = SemanticDedup(similarity=0.99, cluster_rows=10)
    decision = decision_on(operator, summaries, Context(seed=1, references=references))
    again = decision_on(operator, summaries, Context(seed=1, references=references))
    assert decision.equals(again)
    gone = set(decision["id"])
    assert not gone & {str(i) for i in range(references)}
    for row, detail in decision.select("id", "detail").iter_rows():
        kept = detail.removeprefix("a copy of ")
        assert kept not in gone
        assert np.cos(angles[int(row)] - angles[int(kept)]) >= 0.99 - 1e-4
        if ranked and int(kept) >= references:
            assert int(kept) % 5 >= int(row) % 5


def test_equal_rows_are_in_one_cluster() -> None:
    chance = np.random.default_rng(0)
    points = chance.normal(size=(3_000, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    doubled = np.repeat(points, 2, axis=0)
    summaries = pl.DataFrame(
        {
            "id": [str(i) for i in range(len(doubled))],
            "embedding": pl.Series(doubled, dtype=pl.Array(pl.Float32, 8)),
            "filled": [True] * len(doubled),
        }
    )
    decision = decision_on(SemanticDedup(similarity=1.0, cluster_rows=100), summaries, CONTEXT)
    assert decision["id"].to_list() == [str(i) for i in range(1, len(doubled), 2)]


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_batch_cuts_do_not_matter(cut: int, minilm: Path) -> None:
    operator, batch = SemanticDedup(), rows("A cat.", "", "Two dogs and a cat.")
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    assert pl.concat(parts).equals(operator.summarize(batch))
