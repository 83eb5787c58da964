"""Which rows go as copies: each of a row that stays, and that it was really compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

Places = NDArray[np.int64]

# Which pairs of rows, by their places in a table, are similar enough; the first of a pair may stay.
Compare = Callable[[Places, Places], NDArray[np.bool_]]

# Columns with keys begin with it: rows that have one in common are candidates.
KEY = "key"
# Rows of one key that the others are compared with: each is like none before it.
_LEADERS = 8
# Fewer are read once; of more, one column of keys at a time is in memory.
IN_MEMORY_ROWS = 200_000


class Copies(NamedTuple):
    """`dropped` has `id` and `kept`, the id of the row that stays in its place; `unverified` is the
    number of rows that share a key with an earlier one, and stay because they are not like it."""

    dropped: pl.DataFrame
    unverified: int = 0


def copies_of_kept(
    summaries: pl.LazyFrame, compare: Callable[[pl.DataFrame], Compare], references: int = 0
) -> Copies:
    """Decides which rows go, so that each of them is like a row that stays.

    `summaries` has an `id`, columns of keys, and what `compare` needs of the rows that have
    candidates. A row comes before another if its `rank` is higher, or else in the order of the
    data; the first `references` rows come before all others, and stay. A key that is null is
    shared with nobody.

    Memory: 12 bytes for each key that occurs several times, and what `compare` needs.
    """
    if summaries.select(pl.len()).collect().item() <= IN_MEMORY_ROWS:
        summaries = summaries.collect().lazy()
    rows = summaries.with_row_index("row")
    names = summaries.collect_schema().names()
    keys = [name for name in names if name.startswith(KEY)]
    members = _members(rows, keys)
    table = rows.drop(keys).join(members.select("row").unique().lazy(), on="row", how="semi")
    rank = ["rank"] if "rank" in names else []
    table = table.sort(
        pl.col("row") >= references, *rank, "row",
        descending=[False, *(True for _ in rank), False], nulls_last=True,
    )  # fmt: skip
    found = table.collect(engine="streaming")
    places = found.select("row").with_row_index("place")
    members = members.join(places, on="row")
    own = int((found["row"] < references).sum())
    search = _Search(compare(found), found.height, own)
    owner = search.owners(
        members["place"].to_numpy().astype(np.int64), members["bucket"].to_numpy()
    )
    gone = np.flatnonzero(owner >= 0)
    ids = found["id"]
    dropped = pl.DataFrame([ids[gone].alias("id"), ids[owner[gone]].alias("kept")])
    order = found["row"][gone].arg_sort()
    return Copies(dropped[order], search.candidates - len(gone))


def _members(rows: pl.LazyFrame, keys: list[str]) -> pl.DataFrame:
    """`row` and `bucket` of every key that several rows have.

    Keys that occur once are out before anything is joined.
    """
    found = [pl.DataFrame(schema={"row": rows.collect_schema()["row"], "bucket": pl.Int64})]
    buckets = 0
    for name in keys:
        keyed = rows.select("row", pl.col(name).alias(KEY)).filter(pl.col(KEY).is_not_null())
        counted = keyed.group_by(KEY).agg(pl.len()).filter(pl.col("len") > 1).select(KEY)
        repeated = counted.collect(engine="streaming").with_row_index("bucket", buckets)
        several = keyed.join(repeated.lazy(), on=KEY).select("row", pl.col("bucket").cast(pl.Int64))
        found.append(several.collect(engine="streaming"))
        buckets += repeated.height
    return pl.concat(found)


class _Search:
    """Finds for each of `count` rows, in the order in which they may stay, the one it copies.

    The first `references` stay in any case. `candidates` are the rows that share a key with an
    earlier one.
    """

    def __init__(self, similar: Compare, count: int, references: int) -> None:
        self._similar = similar
        self._count = count
        self._references = references
        self.candidates = 0

    def owners(self, places: Places, buckets: Places) -> Places:
        """The row that stays in the place of each, -1 of a row that stays itself."""
        left, right = self._similar_pairs(places, buckets)
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
                hits = tried[self._similar(tried, np.full(len(tried), row, np.int64))]
                kept = int(hits[0]) if len(hits) else None
            if kept is not None:
                owner[row] = kept
                continue
            for other in near:
                instead[other].append(row)

    def _similar_pairs(self, places: Places, buckets: Places) -> tuple[Places, Places]:
        """Pairs of similar rows, the earlier one first.

        Each bucket is compared with its first row, those that are not like that one with their
        first, and so on.
        """
        order = np.lexsort((places, buckets))
        places, buckets = places[order], buckets[order]
        tested, passed = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        for number in range(_LEADERS):
            starts = np.flatnonzero(np.diff(buckets, prepend=-1))
            sizes = np.diff(starts, append=len(buckets))
            leader = np.repeat(places[starts], sizes)
            later = (leader != places) & (places >= self._references)
            if number == 0:
                self.candidates = len(np.unique(places[later]))
            places, buckets, leader = places[later], buckets[later], leader[later]
            if not len(places):
                break
            pairs, number_of = np.unique(leader * self._count + places, return_inverse=True)
            at = np.searchsorted(tested, pairs)
            at[at == len(tested)] = 0
            known = tested[at] == pairs if len(tested) else np.zeros(len(pairs), np.bool_)
            similar = passed[at] if len(tested) else np.zeros(len(pairs), np.bool_)
            similar[~known] = self._similar(*np.divmod(pairs[~known], self._count))
            tested = np.concatenate([tested, pairs[~known]])
            passed = np.concatenate([passed, similar[~known]])
            order = np.argsort(tested)
            tested, passed = tested[order], passed[order]
            left_over = ~similar[number_of]
            places, buckets = places[left_over], buckets[left_over]
        left, right = np.divmod(tested[passed], self._count)
        return left, right
