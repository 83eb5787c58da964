"""The contract of sources."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

from datachef.core.contracts.source import Partition, RawRow, Source
from datachef.core.registry.registration import source_problem


class SourceContract:
    """Subclass it in a test module and write `source`."""

    def source(self, folder: Path) -> Source:
        """A source of a few rows as a recipe in the folder would name it: what it reads is written
        there first, and relative paths start there."""
        raise NotImplementedError("return the source to test")

    def test_can_be_registered(self, tmp_path: Path) -> None:
        """`key` names a field of its own; partitions() and read() are there."""
        problem = source_problem(type(self.source(tmp_path)))
        assert not problem, problem

    def test_is_described(self, tmp_path: Path) -> None:
        """Give the class a docstring, and every field of its own a description."""
        kind = type(self.source(tmp_path))
        assert (kind.__doc__ or "").strip()
        fields = {
            name: f for name, f in kind.model_fields.items() if name not in Source.model_fields
        }
        undescribed = [name for name, field in fields.items() if not field.description]
        assert not undescribed, f"describe {undescribed}"

    def test_partitions_are_the_same_every_time(self, tmp_path: Path) -> None:
        """The cache goes by them: no time, chance or order of a folder may be in them."""
        source = self._located(tmp_path)
        first = list(source.partitions())
        assert first, "there is no partition"
        assert all(isinstance(partition, Partition) for partition in first)
        assert first == list(source.partitions())

    def test_partitions_travel_to_workers(self, tmp_path: Path) -> None:
        """`place` is plain JSON, and the source is read in another process from what is pickled."""
        source = self._located(tmp_path)
        for partition in source.partitions():
            assert json.loads(json.dumps(partition.place)) == partition.place
        copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
        assert _rows(copy) == _rows(source)

    def test_rows_are_the_same_every_time(self, tmp_path: Path) -> None:
        """Read every row, bad ones with their reason, in the order of the data."""
        source = self._located(tmp_path)
        rows = _rows(source)
        assert any(row.data is not None for _, row in rows), "no row could be read"
        for _, row in rows:
            assert isinstance(row, RawRow)
            assert row.data is None or isinstance(row.data, Mapping)
        assert _rows(source) == rows

    def test_positions_are_unique(self, tmp_path: Path) -> None:
        """The ids of rows are made of `name` and `position`, whatever the partitions are."""
        rows = _rows(self._located(tmp_path))
        places = [(name, row.position) for name, row in rows]
        assert len(set(places)) == len(places), "two rows of one file have one position"

    def test_what_did_not_change_is_verified(self, tmp_path: Path) -> None:
        """verify() raises only where the data is not what was planned, also after it was read."""
        source = self._located(tmp_path)
        for partition in source.partitions():
            before = source.verify(partition)
            list(source.read(partition))
            assert source.verify(partition) == before

    def _located(self, folder: Path) -> Source:
        source = self.source(folder).located(folder)
        assert isinstance(source, Source), "located() gives the source"
        return source


def _rows(source: Source) -> list[tuple[str, RawRow]]:
    """All rows, each with the name of what it lies in."""
    return [(part.name, row) for part in source.partitions() for row in source.read(part)]
