"""Which partitions of a source are read together: many small files are no reason for many tasks."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence

from datachef.core.contracts.reader import part_bytes_of
from datachef.core.contracts.source import Partition

# Fewer partitions than this are each read on their own, so that workers have enough to share.
MANY = 256
# A task that reads this many very small files takes about a second.
MOST_TOGETHER = 1_024


def together(partitions: Sequence[Partition]) -> list[tuple[Partition, ...]]:
    """The partitions in their order, neighbours together where there are many small ones.

    Where a group ends, the names of its partitions decide, apart from its size: a partition that
    comes or goes changes its own group, and the others stay in the cache. A part of a file, and one
    of unknown size, stays alone.
    """
    if len(partitions) <= MANY:
        return [(partition,) for partition in partitions]
    names = Counter(partition.name for partition in partitions)
    total = sum(partition.size for partition in partitions)
    mean, most = max(1, total // len(partitions)), part_bytes_of(total)
    # a power of two, which stays as it is where the mean changes a little
    spread = 1 << (max(1, min(MOST_TOGETHER, most // mean)) // 2).bit_length()
    found: list[tuple[Partition, ...]] = []
    group: list[Partition] = []
    size = 0
    for partition in partitions:
        alone = partition.size == 0 or names[partition.name] > 1
        if group and (alone or size + partition.size > most or len(group) == MOST_TOGETHER):
            found.append(tuple(group))
            group, size = [], 0
        if alone:
            found.append((partition,))
            continue
        group.append(partition)
        size += partition.size
        if zlib.crc32(partition.name.encode()) % spread == 0:
            found.append(tuple(group))
            group, size = [], 0
    return [*found, tuple(group)] if group else found
