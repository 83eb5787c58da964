"""A fixed sample of each source, drawn once and kept as a file that recipes are tried on."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
from datachef.core.rows.inspection import SourceInfo
from datachef.core.run.keys import key_of
from datachef.core.system.atomic import remove, write_once
from datachef.core.system.cached import clear_scratch, read_record, write_record
from datachef.core.system.code_identity import code_of, core_code
from datachef.core.system.file_identity import checksum
from datachef.core.text.formats import Format

LAYOUT = 2
# A larger source is sampled from some of its partitions, so that drawing takes seconds at any size.
READ_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Stock:
    """The sample of one source: a JSON-lines file with rows as the source has them.

    `rows` are in the file, `available` are in the source that fit its format (estimated by bytes
    where some partitions were not read, and no more than its `take`), `failed` is the share of rows
    that do not fit.
    """

    path: str
    rows: int
    available: float
    failed: float

    @property
    def rate(self) -> float:
        """The share of the source's rows that is in the sample."""
        return self.rows / self.available if self.available else 1.0


class Pantry:
    """Samples of sources in a folder, each made when it is first asked for."""

    def __init__(self, folder: Path, rows: int, seed: int) -> None:
        self._folder = folder
        self._rows = rows
        self._seed = seed
        self._known: dict[str, Stock] = {}

    def stock(self, survey: SourceInfo) -> Stock:
        """The sample of a source. Raises `SourceError` where it holds no row that fits, and
        `UnavailableError` where it cannot be read to its end now, but may be another time."""
        source = survey.source
        partitions = [
            [partition.name, partition.identity, partition.place] for partition in survey.partitions
        ]
        own = source.model_dump(mode="json", exclude={"steps", "format", "description", "licence"})
        row_format = survey.format.model_dump(mode="json")
        code = [core_code(), code_of(type(source)), code_of(Pantry)]
        key = key_of("stock", LAYOUT, own, row_format, partitions, self._rows, self._seed, code)
        record, file = self._folder / f"{key}.json", self._folder / f"{key}.jsonl"
        known = self._known.get(key)
        if known is None or not file.is_file():
            kept = read_record(record, key)
            if kept is None or not _is_intact(file, kept["checksum"]):
                stock, digest = self._draw(survey, file)
                kept = {"stock": asdict(stock), "checksum": digest}
                write_record(record, self._folder, key, kept)
            known = self._known[key] = Stock(**kept["stock"] | {"path": str(file)})
        return known

    def _draw(self, survey: SourceInfo, path: Path) -> tuple[Stock, str]:
        clear_scratch(self._folder)
        drawing = _Drawing(self._rows, self._seed, survey.format)
        chosen = self._chosen_partitions(survey)
        broken: dict[str, BrokenFileError] = {}
        for place, partition in chosen:
            try:
                drawing.see(place, partition, read_unchanged(survey.source, partition))
            except BrokenFileError as error:
                if error.passing:
                    said = f"{partition.name} cannot be read to its end now: {error}"
                    raise UnavailableError(said, error.hint) from error
                broken[partition.name] = error
        if len(broken) > survey.source.max_failed_files:
            name, first = next(iter(broken.items()))
            raise SourceError(first.code, f"{name} cannot be read to its end: {first}", first.hint)
        if not drawing.fitting:
            raise SourceError("no_rows", "not one row fits the format", "look at its first rows")
        read = sum(partition.size for _, partition in chosen)
        available = drawing.fitting * (survey.size / read if read else 1.0)
        take = survey.source.take
        rows = drawing.rows()
        raw = b"".join(row + b"\n" for row in rows)
        digest = blake2b(raw, digest_size=16).hexdigest()
        if not _is_intact(path, digest):
            remove(path)
            write_once(path, raw)
        stock = Stock(
            path=str(path),
            rows=len(rows),
            available=min(available, take) if take is not None else available,
            failed=drawing.failed / (drawing.failed + drawing.fitting),
        )
        return stock, digest

    def _chosen_partitions(self, survey: SourceInfo) -> list[tuple[int, Partition]]:
        """All partitions, or some by the seed, in the order of the data."""
        placed = list(enumerate(survey.partitions))
        if survey.size <= READ_BYTES:
            return placed
        placed.sort(key=lambda pair: _priority(self._seed, f"{pair[1].name}:{pair[0]}"))
        chosen, size = [], 0
        for place, partition in placed:
            chosen.append((place, partition))
            size += partition.size
            if size >= READ_BYTES:
                break
        return sorted(chosen, key=lambda pair: pair[0])


class _Drawing:
    """Keeps the rows of lowest priority, a hash of seed and place, of all that it is shown."""

    def __init__(self, rows: int, seed: int, row_format: Format) -> None:
        self.fitting = 0
        self.failed = 0
        self._limit = rows
        self._seed = seed
        self._format = row_format
        self._heap: list[tuple[int, tuple[int, int], bytes]] = []

    def see(self, place: int, partition: Partition, rows: Iterator[RawRow]) -> None:
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
