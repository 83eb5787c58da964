"""A fixed sample of each source, drawn once by the seed and kept as a file."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from datachef.core.contracts.source import (
    BrokenFileError,
    Partition,
    RawRow,
    SourceError,
    read_unchanged,
)
from datachef.core.errors import RowError, UnavailableError
from datachef.core.rows.inspection import SourceInfo, SourceSample
from datachef.core.run.stage import key_of
from datachef.core.system.atomic import clear_scratch, read_record, remove, write_once, write_record
from datachef.core.system.code_identity import code_of, core_code
from datachef.core.system.paths import checksum
from datachef.core.text.formats import Format

LAYOUT = 4
# A larger source is sampled from some of its partitions, so that drawing takes seconds at any size.
READ_BYTES = 64 * 2**20


class SampleStore:
    """Samples of sources in a folder, each drawn when it is first needed.

    Whether a sample still holds is decided by all that it depends on, code included. Its file is
    named for the rows in it, since the ids of rows, and with them some decisions and scores, hang
    on the name of their file: code that draws the same rows gives the same score.
    """

    def __init__(self, folder: Path, rows: int, seed: int) -> None:
        self._folder = folder
        self._rows = rows
        self._seed = seed
        self._known: dict[str, SourceSample] = {}

    def sample(self, found: SourceInfo) -> SourceSample:
        """The sample of a source. Raises `SourceError` where it holds no row that fits, and
        `UnavailableError` where it cannot be read to its end now, but may be another time."""
        source = found.source
        partitions = [
            [partition.name, partition.identity, partition.place] for partition in found.partitions
        ]
        own = source.model_dump(mode="json", exclude={"steps", "format", "description", "licence"})
        row_format = found.format.model_dump(mode="json")
        kinds = [type(source), *source.readers_of(found.partitions).values(), SampleStore]
        code = [core_code(), *map(code_of, kinds)]
        key = key_of("sample", LAYOUT, own, row_format, partitions, self._rows, self._seed, code)
        known = self._known.get(key)
        if known is None or not Path(known.path).is_file():
            known = self._known[key] = self._kept(key) or self._draw(found, key)
        return known

    def _kept(self, key: str) -> SourceSample | None:
        """The sample that was drawn earlier; None where it is not there as it was written."""
        kept = read_record(self._folder / f"{key}.json", key)
        if kept is None or not _is_intact(self._file(kept["checksum"]), kept["checksum"]):
            return None
        return SourceSample(**kept["sample"] | {"path": str(self._file(kept["checksum"]))})

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.jsonl"

    def _draw(self, found: SourceInfo, key: str) -> SourceSample:
        clear_scratch(self._folder)
        reservoir = _Reservoir(self._rows, self._seed, found.format)
        chosen = self._chosen_partitions(found)
        broken: dict[str, BrokenFileError] = {}
        for place, partition in chosen:
            try:
                reservoir.add(place, partition, read_unchanged(found.source, partition))
            except BrokenFileError as error:
                if error.passing:
                    said = f"{partition.name} cannot be read to its end now: {error}"
                    raise UnavailableError(said, error.hint) from error
                broken[partition.name] = error
        if len(broken) > found.source.max_failed_files:
            name, first = next(iter(broken.items()))
            raise SourceError(first.code, f"{name} cannot be read to its end: {first}", first.hint)
        if not reservoir.fitting:
            raise SourceError("no_rows", "not one row fits the format", "look at its first rows")
        read = sum(partition.size for _, partition in chosen)
        available = reservoir.fitting * (found.size / read if read else 1.0)
        take = found.source.take
        rows = reservoir.rows()
        raw = b"".join(row + b"\n" for row in rows)
        digest = blake2b(raw, digest_size=16).hexdigest()
        file = self._file(digest)
        if not _is_intact(file, digest):
            remove(file)
            write_once(file, raw)
        sample = SourceSample(
            path=str(file),
            rows=len(rows),
            available=min(available, take) if take is not None else available,
            failed=reservoir.failed / (reservoir.failed + reservoir.fitting),
        )
        kept = {"sample": asdict(sample), "checksum": digest}
        write_record(self._folder / f"{key}.json", self._folder, key, kept)
        return sample

    def _chosen_partitions(self, found: SourceInfo) -> list[tuple[int, Partition]]:
        """All partitions, or some by the seed, in the order of the data."""
        placed = list(enumerate(found.partitions))
        if found.size <= READ_BYTES:
            return placed
        placed.sort(key=lambda pair: _priority(self._seed, f"{pair[1].name}:{pair[0]}"))
        chosen, size = [], 0
        for place, partition in placed:
            chosen.append((place, partition))
            size += partition.size
            if size >= READ_BYTES:
                break
        return sorted(chosen, key=lambda pair: pair[0])


class _Reservoir:
    """Keeps the rows of lowest priority, a hash of seed and place, of all that it is shown."""

    def __init__(self, rows: int, seed: int, row_format: Format) -> None:
        self.fitting = 0
        self.failed = 0
        self._limit = rows
        self._seed = seed
        self._format = row_format
        self._heap: list[tuple[int, tuple[int, int], bytes]] = []

    def add(self, place: int, partition: Partition, rows: Iterator[RawRow]) -> None:
        for row in rows:
            if row.data is None:
                self.failed += bool(row.reason)
                continue
            priority = -_priority(self._seed, f"{partition.name}:{row.position}")
            full = len(self._heap) == self._limit
            try:
                self._format.convert(row.data)
            except RowError:
                self.failed += 1
                continue
            self.fitting += 1
            if full and priority < self._heap[0][0]:
                continue
            entry = (priority, (place, row.position), _line(row.data))
            (heapq.heappushpop if full else heapq.heappush)(self._heap, entry)

    def rows(self) -> list[bytes]:
        """The rows kept, in the order of the data."""
        return [line for _, _, line in sorted(self._heap, key=lambda entry: entry[1])]


def _is_intact(path: Path, digest: str) -> bool:
    """Whether a file holds what it held when it was written."""
    return path.is_file() and checksum(path) == digest


def _line(data: Any) -> bytes:
    return orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


def _priority(seed: int, name: str) -> int:
    digest = blake2b(name.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")
