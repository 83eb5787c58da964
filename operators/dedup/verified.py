"""Which rows go as copies: each of a row that stays, and that it was really compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.dedup.copies import IN_MEMORY_ROWS, Copies, Places, batches, new_folder
from datachef.operators.dedup.row_tables import RowTables

# Which pairs of rows, by their places in a table, are similar enough; the first of a pair may stay.
Compare = Callable[[Places, Places], NDArray[np.bool_]]

# Columns with keys begin with it: rows that have one in common are candidates.
KEY = "key"
# Rows of one key that the others are compared with: each is like none before it.
_LEADERS = 8
# Of more rows than stay in memory, the keys that are grouped at once, and the bytes of the rows
# that are compared at once.
KEYS_AT_ONCE = 4_000_000
COMPARED_BYTES = 16 * 2**20
# What they take of memory: bytes for each row, and for each key that is grouped.
MEMORY, KEY_MEMORY = 40, 60


def copies_of_kept(
    summaries: pl.LazyFrame,
    compare: Callable[[pl.DataFrame], Compare],
    references: int = 0,
    folder: Path | None = None,
) -> Copies:
    """Decides which rows go, so that each of them is like a row that stays.

    `summaries` has an `id`, columns of keys, and what `compare` needs of rows. A row comes before
    another if its `rank` is higher, or else in the order of the data; the first `references` rows
    come before all others, and stay. A key that is null is shared with nobody.

    Memory: 1 byte for each row, about 30 for each pair of rows that are compared, and 50 for each
    row that goes. Where there is a `folder` for it, what is compared of many rows is there.
    """
    count = summaries.select(pl.len()).collect().item()
    if count <= IN_MEMORY_ROWS:
        summaries, folder = summaries.collect().lazy(), None
    rows = summaries.with_row_index("row")
    names = summaries.collect_schema().names()
    keys = [name for name in names if name.startswith(KEY)]
    members = RowTables(new_folder(folder, "members") if folder else None)
    several = np.zeros(count, np.bool_)
    for name in keys:
        for part in _members(rows.select("row", pl.col(name).alias(KEY)), count):
            several[part["row"].to_numpy()] = True
            members.add(part)
    found = RowTables(new_folder(folder, "rows") if folder else None)
    for batch in batches(rows.drop(keys, "id")):
        found.add(batch.filter(pl.Series(several[batch["row"].to_numpy()])))
    row = np.flatnonzero(several)
    order = _order(found, row, references) if "rank" in names else np.arange(len(row))
    place = np.empty(len(row), np.int64)
    place[order] = np.arange(len(row))
    search = _Search(_Pairs(found, order, compare), len(row), int((row < references).sum()))
    for number in range(len(members)):
        table = members.table(number)
        own = place[np.searchsorted(row, table["row"].to_numpy())]
        search.compare(own, table["bucket"].to_numpy().astype(np.int64))
    owner = search.owners()
    gone = np.flatnonzero(owner >= 0)
    rows_gone, kept = row[order[gone]], row[order[owner[gone]]]
    by_place = np.argsort(rows_gone)
    return Copies(rows_gone[by_place], kept[by_place], search.candidates - len(gone))


def memory_for(rows: float) -> float:
    """About the bytes of memory that the search takes beside its rows."""
    return MEMORY * rows + KEY_MEMORY * min(rows, KEYS_AT_ONCE)


def _members(keyed: pl.LazyFrame, count: int) -> Iterator[pl.DataFrame]:
    """`row` and `bucket` of every key that several rows have, in tables that share no key."""
    keyed = keyed.filter(pl.col(KEY).is_not_null())
    parts = -(-count // KEYS_AT_ONCE)
    for part in range(parts):
        own = keyed if parts == 1 else keyed.filter(pl.col(KEY).hash(seed=0) % parts == part)
        table = own.collect(engine="streaming").lazy()
        counted = table.group_by(KEY).agg(pl.len()).filter(pl.col("len") > 1).select(KEY)
        repeated = counted.collect().with_row_index("bucket").lazy()
        yield table.join(repeated, on=KEY).select("row", "bucket").collect()


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
    """Finds for each of `count` rows, in the order in which they may stay, the one it copies.

    The first `references` stay in any case.
    """

    def __init__(self, pairs: _Pairs, count: int, references: int) -> None:
        self._pairs = pairs
        self._count = count
        self._references = references
        self._later = np.zeros(count, np.bool_)
        # The pairs that were compared, as one number each in order, and which of them are similar.
        self._tested = np.zeros(0, np.int64)
        self._passed = np.zeros(0, np.bool_)

    @property
    def candidates(self) -> int:
        """The rows that share a key with an earlier one."""
        return int(self._later.sum())

    def compare(self, places: Places, buckets: Places) -> None:
        """Compares the rows of each bucket with its first one, those that are not like that one
        with their first, and so on."""
        order = np.lexsort((places, buckets))
        places, buckets = places[order], buckets[order]
        for number in range(_LEADERS):
            starts = np.flatnonzero(np.diff(buckets, prepend=-1))
            leader = np.repeat(places[starts], np.diff(starts, append=len(buckets)))
            later = (leader != places) & (places >= self._references)
            places, buckets, leader = places[later], buckets[later], leader[later]
            if not len(places):
                break
            if number == 0:
                self._later[places] = True
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
