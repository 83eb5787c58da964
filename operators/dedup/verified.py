"""Which rows go as copies: each of a row that stays, and that it was really compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.dedup.copies import IN_MEMORY_ROWS, Copies, Places, new_folder, rows_at
from datachef.operators.dedup.row_tables import RowTables
from datachef.operators.dedup.shared_keys import KEYS_AT_ONCE, SharedKeys, key_columns

# Which pairs of rows, by their places in a table, are similar enough; the first of a pair may stay.
Compare = Callable[[Places, Places], NDArray[np.bool_]]

# Rows of one key that the others are compared with: each is like none before it.
_LEADERS = 8
# The bytes of the rows that are compared at once, where more rows than stay in memory have a key
# in common with others.
COMPARED_BYTES = 16 * 2**20
# What the search takes of memory: bytes for each row, and for each key that is grouped.
MEMORY, KEY_MEMORY = 40, 60


def copies_of_kept(
    summaries: pl.LazyFrame,
    compare: Callable[[pl.DataFrame], Compare],
    references: int = 0,
    folder: Path | None = None,
    pairs: pl.LazyFrame | None = None,
) -> Copies:
    """Decides which rows go, so that each of them is like a row that stays.

    `summaries` has an `id`, columns of keys, and what `compare` needs of rows. A row comes before
    another if its `rank` is higher, or else in the order of the data; the first `references` rows
    come before all others, and stay. A key that is null is shared with nobody. `pairs` are those
    that were compared already, of all keys.

    Memory: 1 byte for each row, about 30 for each pair of rows that are compared, and 50 for each
    row that goes. Where there is a `folder` for it, what is compared of many rows is there.
    """
    summaries, folder = _in_memory_if_few(summaries, folder)
    if pairs is None:
        search = _Search.of_keys(summaries, compare, references, folder)
    else:
        search = _Search.of_pairs(summaries, compare, references, folder, pairs)
    return search.copies()


def compared_pairs(
    summaries: pl.LazyFrame,
    compare: Callable[[pl.DataFrame], Compare],
    part: int,
    count: int,
    references: int = 0,
    folder: Path | None = None,
) -> pl.DataFrame:
    """The pairs of rows that share a key of the given one of `count` parts of all keys: `left` and
    `right`, which comes later, by their places in the data, and whether they are `similar`."""
    summaries, folder = _in_memory_if_few(summaries, folder)
    return _Search.of_keys(summaries, compare, references, folder, (part, count)).pairs()


def _in_memory_if_few(
    summaries: pl.LazyFrame, folder: Path | None
) -> tuple[pl.LazyFrame, Path | None]:
    first = summaries.head(IN_MEMORY_ROWS + 1).select(pl.len())
    if first.collect().item() <= IN_MEMORY_ROWS:
        return summaries.collect().lazy(), None
    return summaries, folder


def memory_for(rows: float) -> float:
    """About the bytes of memory that the search takes beside its rows."""
    return MEMORY * rows + KEY_MEMORY * min(rows, KEYS_AT_ONCE)


def _order(found: RowTables, row: Places, references: int) -> Places:
    """The rows in the order in which they may stay."""
    rank = found.column("rank").cast(pl.Float64)
    table = pl.DataFrame({"rank": rank, "other": row >= references}).with_row_index("place")
    by = table.sort(
        "other", "rank", "place", descending=[False, True, False], nulls_last=True
    )  # fmt: skip
    return by["place"].to_numpy().astype(np.int64)


class _Pairs:
    """Compares rows by their places in an `order`, reading what is needed of those that are asked
    for."""

    def __init__(
        self, found: RowTables, order: Places, compare: Callable[[pl.DataFrame], Compare]
    ) -> None:
        self._found = found
        self._order = order
        self._compare = compare
        self._at_once = max(1, COMPARED_BYTES * found.height // (2 * max(found.bytes, 1)))
        few = found.bytes <= COMPARED_BYTES
        self._all = compare(found.rows(np.arange(found.height))) if few else None

    def similar(self, left: Places, right: Places) -> NDArray[np.bool_]:
        left, right = self._order[left], self._order[right]
        if self._all is not None:
            return self._all(left, right)
        parts = [np.zeros(0, np.bool_)]
        for start in range(0, len(left), self._at_once):
            pairs = np.stack([left, right])[:, start : start + self._at_once]
            needed, number = np.unique(pairs, return_inverse=True)
            parts.append(self._compare(self._found.rows(needed))(*number.reshape(pairs.shape)))
        return np.concatenate(parts)


class _Search:
    """Finds for each row, in the order in which rows may stay, the one that it copies.

    `row` are the places in the data of those that share a key with another, `order` which of them
    come first; the first `references` of the data stay in any case.
    """

    def __init__(self, row: Places, order: Places, pairs: _Pairs, references: int) -> None:
        self._row = row
        self._in_order = row[order]
        self._place = np.empty(len(row), np.int64)
        self._place[order] = np.arange(len(row))
        self._pairs = pairs
        self._count = len(row)
        self._references = int((row < references).sum())
        # The pairs that were compared, as one number each in order, and which of them are similar.
        self._tested = np.zeros(0, np.int64)
        self._passed = np.zeros(0, np.bool_)

    @classmethod
    def of_keys(
        cls,
        summaries: pl.LazyFrame,
        compare: Callable[[pl.DataFrame], Compare],
        references: int,
        folder: Path | None,
        part: tuple[int, int] = (0, 1),
    ) -> _Search:
        """The search among rows that have a key in common, of one part of all keys."""
        keys = SharedKeys(summaries, new_folder(folder, "keys") if folder else None, *part)
        members = RowTables(new_folder(folder, "members") if folder else None)
        several = np.zeros(keys.rows, np.bool_)
        for table in keys.groups():
            several[table["row"].to_numpy()] = True
            members.add(table)
        row = np.flatnonzero(several)
        search = cls._among(row, summaries, compare, references, folder)
        for number in range(len(members)):
            table = members.table(number)
            own = search._places(table["row"].to_numpy())
            search.compare(own, table["bucket"].to_numpy().astype(np.int64))
        return search

    @classmethod
    def of_pairs(
        cls,
        summaries: pl.LazyFrame,
        compare: Callable[[pl.DataFrame], Compare],
        references: int,
        folder: Path | None,
        pairs: pl.LazyFrame,
    ) -> _Search:
        """The search among rows that were compared, as `pairs` has it."""
        compared = pairs.unique(["left", "right"]).collect(engine="streaming")
        row = np.union1d(compared["left"].to_numpy(), compared["right"].to_numpy())
        search = cls._among(row, summaries, compare, references, folder)
        left, right = (search._places(compared[side].to_numpy()) for side in ("left", "right"))
        number = left * search._count + right
        order = np.argsort(number)
        search._tested, search._passed = number[order], compared["similar"].to_numpy()[order]
        return search

    @classmethod
    def _among(
        cls,
        row: Places,
        summaries: pl.LazyFrame,
        compare: Callable[[pl.DataFrame], Compare],
        references: int,
        folder: Path | None,
    ) -> _Search:
        """The search among these rows, nothing compared yet."""
        found = RowTables(new_folder(folder, "rows") if folder else None)
        compared = summaries.drop(key_columns(summaries), "id").with_row_index("row")
        for table in rows_at(compared, row):
            found.add(table)
        ranked = "rank" in summaries.collect_schema().names()
        order = _order(found, row, references) if ranked else np.arange(len(row))
        return cls(row, order, _Pairs(found, order, compare), references)

    def copies(self) -> Copies:
        """What goes, and for which row that stays."""
        owner = self.owners()
        gone = np.flatnonzero(owner >= 0)
        rows, kept = self._in_order[gone], self._in_order[owner[gone]]
        by_place = np.argsort(rows)
        return Copies(rows[by_place], kept[by_place], self.candidates - len(gone))

    def pairs(self) -> pl.DataFrame:
        """What was compared: `left`, `right` and whether they are `similar`."""
        left, right = np.divmod(self._tested, self._count or 1)
        sides = {"left": self._in_order[left], "right": self._in_order[right]}
        return pl.DataFrame({**sides, "similar": self._passed})

    def _places(self, rows: Places) -> Places:
        return self._place[np.searchsorted(self._row, rows)]

    @property
    def candidates(self) -> int:
        """The rows that share a key with an earlier one."""
        return len(np.unique(self._tested % (self._count or 1)))

    def compare(self, places: Places, buckets: Places) -> None:
        """Compares the rows of each bucket with its first one, those that are not like that one
        with their first, and so on."""
        order = np.lexsort((places, buckets))
        places, buckets = places[order], buckets[order]
        for _ in range(_LEADERS):
            starts = np.flatnonzero(np.diff(buckets, prepend=-1))
            leader = np.repeat(places[starts], np.diff(starts, append=len(buckets)))
            later = (leader != places) & (places >= self._references)
            places, buckets, leader = places[later], buckets[later], leader[later]
            if not len(places):
                break
            similar = self._similar(leader, places)
            places, buckets = places[~similar], buckets[~similar]

    def _similar(self, left: Places, right: Places) -> NDArray[np.bool_]:
        """Which pairs are similar; each is compared once."""
        pairs: Places
        pairs, number = np.unique(left * self._count + right, return_inverse=True)
        at = np.searchsorted(self._tested, pairs)
        known = np.zeros(len(pairs), np.bool_)
        inside = at < len(self._tested)
        known[inside] = self._tested[at[inside]] == pairs[inside]
        new = pairs[~known]
        if len(new):
            similar = self._pairs.similar(*np.divmod(new, self._count))
            self._tested = np.insert(self._tested, at[~known], new)
            self._passed = np.insert(self._passed, at[~known], similar)
            at = np.searchsorted(self._tested, pairs)
        found: NDArray[np.bool_] = self._passed[at][number]
        return found

    def owners(self) -> Places:
        """The row that stays in the place of each, -1 of a row that stays itself."""
        left, right = np.divmod(self._tested[self._passed], self._count)
        owner = np.full(self._count, -1, np.int64)
        # What is like no earlier row stays, and what is like one of these goes.
        later = np.zeros(self._count, np.bool_)
        later[right] = True
        settled = ~later[left]
        first = np.full(self._count, self._count, np.int64)
        np.minimum.at(first, right[settled], left[settled])
        owner[first < self._count] = first[first < self._count]
        open_pairs = owner[right] < 0
        self._settle(owner, left[open_pairs], right[open_pairs])
        return owner

    def _settle(self, owner: Places, left: Places, right: Places) -> None:
        """Decides, one after the other, on the rows that are like none of which it is sure yet that
        it stays. Where all that a row is like are gone, it is compared with what stayed instead.
        """
        like: dict[int, list[int]] = defaultdict(list)
        for pair in np.lexsort((left, right)):
            like[int(right[pair])].append(int(left[pair]))
        instead: dict[int, list[int]] = defaultdict(list)
        for row, near in like.items():
            kept = next((other for other in near if owner[other] < 0), None)
            if kept is None:
                others = {int(owner[other]): None for other in near}
                others |= dict.fromkeys(new for other in near for new in instead[other])
                tried = np.array(list(others)[:_LEADERS], np.int64)
                tried = tried[tried < row]
                hits = tried[self._pairs.similar(tried, np.full(len(tried), row))]
                kept = int(hits[0]) if len(hits) else None
            if kept is not None:
                owner[row] = kept
                continue
            for other in near:
                instead[other].append(row)
