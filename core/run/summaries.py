"""The summaries of all partitions as one table, of which only what is asked for is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from datachef.core.errors import DatachefError, PluginError
from datachef.core.run.store import Store
from datachef.core.system.ahead import AT_ONCE, ahead

# A table of summaries: the key of the partition, and what its record says of the table.
Table = tuple[str, Mapping[str, Any]]
# Compressed; a corpus of millions of rows has more.
IN_MEMORY_BYTES = 64 * 2**20


@contextmanager
def scanned(
    store: Store, tables: Sequence[Table], made_by: str = "summarize()"
) -> Iterator[pl.LazyFrame]:
    """All tables, one after the other in their order: in memory where they are small, else read
    anew by each query, only the columns that it needs.

    Raises `RunError` where a table is gone or damaged, and `PluginError` where they differ in their
    columns.
    """
    if sum(facts.get("bytes", 0) for _, facts in tables) <= IN_MEMORY_BYTES:
        found = list(ahead([partial(store.read, *table) for table in tables]))
        for table in found:
            _refuse_other_columns(found[0].schema, table.schema, made_by)
        yield pl.concat(found).lazy()
        return
    reader = _Reader(store, tables, made_by)
    try:
        yield reader.query()
    except Exception as error:
        if reader.failure is None:
            raise
        raise reader.failure from error  # which polars has made an error of its own of


class _Reader:
    """Reads tables for queries. `failure` is what was wrong with one."""

    def __init__(self, store: Store, tables: Sequence[Table], made_by: str) -> None:
        self._store = store
        self._tables = tables
        self._made_by = made_by
        self._schema = store.read(*tables[0]).schema
        self._verified = {0}
        self.failure: DatachefError | None = None
        largest = max(facts["bytes"] for _, facts in tables)
        self._at_once = max(1, min(AT_ONCE, IN_MEMORY_BYTES // largest))

    def query(self) -> pl.LazyFrame:
        return register_io_source(self._read, schema=self._schema, is_pure=True)

    def _read(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        rows: int | None,
        _batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        names = columns or self._schema.names()
        numbers = range(len(self._tables))
        try:
            for table in ahead([partial(self._table, n, names) for n in numbers], self._at_once):
                own = table if rows is None else table.head(rows)
                yield own if predicate is None else own.filter(predicate)
                if rows is not None and (rows := rows - own.height) <= 0:
                    return
        except DatachefError as error:
            self.failure = error
            raise

    def _table(self, number: int, names: list[str]) -> pl.DataFrame:
        """Columns of a table, which is verified when it is read for the first time."""
        if number in self._verified:
            return self._store.columns(*self._tables[number], names)
        table = self._store.read(*self._tables[number])
        _refuse_other_columns(self._schema, table.schema, self._made_by)
        self._verified.add(number)
        return table.select(names)


def _refuse_other_columns(expected: pl.Schema, found: pl.Schema, made_by: str) -> None:
    if found != expected:
        raise PluginError(
            f"{made_by} gave tables that differ: "
            f"{dict(expected)} for one partition, {dict(found)} for another",
            "the same columns and types for every batch",
        )
