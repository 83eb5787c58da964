"""The summaries of all partitions as one table, read anew by every query."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, strategies as st
from polars.testing import assert_frame_equal

from datachef.core.errors import PluginError, RunError
from datachef.core.run import summaries
from datachef.core.run.file_store import FileStore
from datachef.core.run.summaries import Table, scanned
from datachef.core.system.folder import LocalFolder

QUERIES: list[Callable[[pl.LazyFrame], pl.LazyFrame]] = [
    lambda rows: rows,
    lambda rows: rows.select(pl.len()),
    lambda rows: rows.select("size"),
    lambda rows: rows.select("size", "id"),
    lambda rows: rows.head(3),
    lambda rows: rows.slice(2, 4),
    lambda rows: rows.filter(pl.col("size") > 1),
    lambda rows: rows.filter(pl.col("size") > 1).head(2),
    lambda rows: rows.head(4).filter(pl.col("size") % 2 == 0),
    lambda rows: rows.with_row_index("row").filter(pl.col("row") % 3 == 1).select("row", "id"),
    lambda rows: rows.drop("id", "size").with_row_index("row"),
    lambda rows: rows.join(rows.filter(pl.col("size") == 1), on="id", how="semi"),
    lambda rows: rows.group_by("size").agg(pl.len(), pl.col("id").min()).sort("size"),
    lambda rows: rows.sort("size", descending=True, maintain_order=True),
]


@contextmanager
def stored(heights: list[int]) -> Iterator[tuple[FileStore, list[Table]]]:
    """A store with tables of the given heights, and the key and the record of each."""
    with TemporaryDirectory() as folder:
        store = FileStore(LocalFolder(Path(folder)))
        tables: list[Table] = []
        for number, height in enumerate(heights):
            ids = pl.Series([f"{number}-{n}" for n in range(height)], dtype=pl.String)
            frame = pl.DataFrame({"id": ids}).with_columns(
                size=number, place=pl.int_range(pl.len())
            )
            key = f"{number:032x}"
            tables.append((key, store.write(key, "summary.parquet", frame)))
        yield store, tables


@pytest.fixture
def none_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "IN_MEMORY_BYTES", 0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.sampled_from(QUERIES))
def test_a_query_finds_what_it_finds_in_memory(
    heights: list[int], query: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> None:
    with stored(heights) as (store, tables):
        with scanned(store, tables) as rows:
            expected = query(rows).collect()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(summaries, "IN_MEMORY_BYTES", 0)
            with scanned(store, tables) as rows:
                assert_frame_equal(query(rows).collect(engine="in-memory"), expected)
                assert_frame_equal(query(rows).collect(engine="streaming"), expected)
                batches = list(query(rows).collect_batches(maintain_order=True))
                assert_frame_equal(pl.concat([expected.head(0), *batches]), expected)


@pytest.mark.usefixtures("none_in_memory")
def test_a_table_that_was_damaged_is_told_and_made_anew() -> None:
    with stored([2, 2, 2]) as (store, tables):
        for key, facts in tables:
            store.finish(key, {"files": [facts], "parts": []})
        key, facts = tables[1]
        file = store.folder.path(f"partitions/{key[:2]}/{facts['file']}")
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 255
        file.write_bytes(raw)
        with (
            pytest.raises(RunError, match="is damaged") as raised,
            scanned(store, tables) as rows,
        ):
            rows.select("id").collect(engine="streaming")
        assert raised.value.hint == "run again: it will be made anew"
        assert [store.record(key) is None for key, _ in tables] == [False, True, False]


@pytest.mark.parametrize("in_memory", [True, False])
def test_tables_of_other_columns_are_an_error_of_the_operator(
    monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(summaries, "IN_MEMORY_BYTES", 0)
    with stored([2, 2]) as (store, tables):
        other = pl.DataFrame({"id": ["a"], "size": ["1"], "place": [0]})
        tables.append(("f" * 32, store.write("f" * 32, "summary.parquet", other)))
        with (
            pytest.raises(PluginError, match=r"summarize\(\) gave tables that differ.*'size'"),
            scanned(store, tables) as rows,
        ):
            rows.select("id").collect()
