"""The search for copies of rows that stay, on keys and similarities that can be followed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from decisions import decision_on
from hypothesis import HealthCheck, given, settings, strategies as st

from datachef.core import Context
from datachef.operators.dedup import copies, row_tables, shared_keys, text_cutter, verified
from datachef.operators.dedup.line_dedup import LineDedup
from datachef.operators.dedup.minhash_dedup import MinHashDedup
from datachef.operators.dedup.verified import Compare, compared_pairs, copies_of_kept

ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 3), st.integers(0, 20)),
    max_size=40,
)


def compare(rows: pl.DataFrame) -> Compare:
    """Rows are alike whose values differ by one at the most: no equivalence, so chains occur."""
    values = rows["value"].to_numpy()
    return lambda left, right: np.abs(values[left] - values[right]) <= 1


def frame(rows: list[tuple[int | None, int, int]], *, ranked: bool) -> pl.DataFrame:
    schema = {"key_0": pl.UInt64, "key_1": pl.UInt64, "value": pl.Int64}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    ids = pl.Series("id", [str(i) for i in range(len(rows))], dtype=pl.String)
    rank = [(pl.col("value") % 3).cast(pl.Float64).alias("rank")] if ranked else []
    return table.with_columns(ids, *rank)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a few rows were too many for memory."""
    monkeypatch.setattr(verified, "IN_MEMORY_ROWS", 0)
    monkeypatch.setattr(copies, "IN_MEMORY_ROWS", 0)
    monkeypatch.setattr(shared_keys, "KEYS_AT_ONCE", 7)
    monkeypatch.setattr(copies, "FILE_ROWS", 5)
    monkeypatch.setattr(verified, "COMPARED_BYTES", 60)
    monkeypatch.setattr(row_tables, "OPEN", 1)


@given(ROWS, st.booleans(), st.integers(0, 5))
def test_what_goes_is_like_what_stays_and_comes_after_it(
    rows: list[tuple[int | None, int, int]], ranked: bool, references: int
) -> None:
    table, references = frame(rows, ranked=ranked), min(references, len(rows))
    found = copies_of_kept(table.lazy(), compare, references)
    gone = dict(zip(found.rows.tolist(), found.kept.tolist(), strict=True))
    assert list(gone) == sorted(gone)
    assert not set(range(references)) & set(gone)

    def place(row: int) -> tuple[bool, float, int]:
        return row >= references, -(rows[row][2] % 3) if ranked else 0.0, row

    for row, kept in gone.items():
        assert kept not in gone
        assert place(kept) < place(row) or (kept < references <= row)
        assert abs(rows[row][2] - rows[kept][2]) <= 1
    candidates = sum(
        any(
            place(other) < place(row) and any(a is not None and a == b for a, b in pairs)
            for other in range(len(rows))
            if (pairs := list(zip(rows[other][:2], rows[row][:2], strict=True)))
        )
        for row in range(references, len(rows))
    )
    assert found.unverified == candidates - len(gone)


@pytest.mark.usefixtures("on_disk")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.booleans(), st.integers(0, 5))
def test_what_is_too_large_for_memory_is_decided_on_in_the_same_way(
    tmp_path: Path, rows: list[tuple[int | None, int, int]], ranked: bool, references: int
) -> None:
    table, references = frame(rows, ranked=ranked), min(references, len(rows))
    at_once = copies_of_kept(table.lazy(), compare, references)
    with TemporaryDirectory(dir=tmp_path) as folder:
        in_parts = copies_of_kept(table.lazy(), compare, references, Path(folder))
        decided = in_parts.decision(table.lazy(), "near", Path(folder)).collect()
    assert decided.equals(at_once.decision(table.lazy(), "near", None).collect())
    assert in_parts.unverified == at_once.unverified


@given(ROWS, st.booleans(), st.integers(0, 5), st.integers(1, 4))
def test_a_decision_does_not_depend_on_how_its_work_is_divided(
    rows: list[tuple[int | None, int, int]], ranked: bool, references: int, count: int
) -> None:
    table, references = frame(rows, ranked=ranked).lazy(), min(references, len(rows))
    whole = copies_of_kept(table, compare, references)
    parts = [compared_pairs(table, compare, part, count, references) for part in range(count)]
    divided = copies_of_kept(table, compare, references, pairs=pl.concat(parts).lazy())
    assert divided.rows.tolist() == whole.rows.tolist()
    assert divided.kept.tolist() == whole.kept.tolist()
    assert divided.unverified == whole.unverified


@given(ROWS)
def test_equal_rows_never_stay_both(rows: list[tuple[int | None, int, int]]) -> None:
    doubled = [row for row in rows for _ in range(2)]
    gone = set(copies_of_kept(frame(doubled, ranked=False).lazy(), compare).rows.tolist())
    assert gone >= set(range(1, len(doubled), 2))


def test_the_decision_is_the_same_in_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    texts = [f"row {i % 3} is about\nthe number {i % 4} and\n{i % 5} others" for i in range(150)]
    batch = pl.DataFrame({"id": [str(i) for i in range(150)], "text": texts})
    lines, near = LineDedup(digits="different"), MinHashDedup(ngram=2, bands=30, rows=1)

    def decided(context: Context) -> list[pl.DataFrame]:
        return [decision_on(one, one.summarize(batch), context) for one in (lines, near)]

    once = decided(Context(0))
    monkeypatch.setattr(text_cutter, "_HASHES_AT_ONCE", 50)
    request.getfixturevalue("on_disk")
    monkeypatch.setattr(shared_keys, "KEYS_AT_ONCE", 100)
    again = decided(Context(0, folder=tmp_path))
    for first, second in zip(once, again, strict=True):
        assert first.height > 50
        assert first.equals(second)
