"""The contract of a file format that sources read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

from datachef.core.contracts.source import CsvOptions, RawRow
from datachef.core.system.network import NOWHERE, Network

Holds = Literal["rows", "prose", "markup", "binary"]

# Parts are small, so that workers finish together, and larger where there would be more than these:
# a run plans every part, and every decision on the corpus names it.
PART_BYTES = 8 * 2**20
MOST_PARTS = 2**15


def part_bytes_of(total: int) -> int:
    """The bytes that parts of files should have, by those of all files of a source.

    Twice as many, or four times, and so on: a file more seldom changes how the others are cut.
    """
    size = PART_BYTES
    while total > size * MOST_PARTS:
        size *= 2
    return size


@dataclass(frozen=True)
class ReadOptions:
    """What a source says of how its files are written; a reader heeds what concerns its format."""

    encoding: str | None = None
    by_line: bool = False
    csv: CsvOptions | None = None


@dataclass(frozen=True)
class InputFile(ABC):
    """A file as a reader gets it, wherever it lies and however it is packed.

    `size` are the bytes on disk of what is to be read of it, `part_bytes` those that a part of it
    should have.
    """

    path: str
    size: int
    options: ReadOptions = ReadOptions()
    network: Network = NOWHERE
    part_bytes: int = PART_BYTES

    @abstractmethod
    def open(self) -> AbstractContextManager[BinaryIO]:
        """Its content, unpacked, from the beginning. What goes wrong with the file or the disk
        while it is open is a `BrokenFileError`."""

    @abstractmethod
    def content(self) -> Path | bytes:
        """What a library that seeks reads it from: its path, or its bytes where it is not here."""


@dataclass(frozen=True)
class Part:
    """A part of a file that one worker reads: `place` (plain JSON) says to the reader which.

    `size` are its bytes on disk, `rows` how many it holds, where that is known.
    """

    size: int
    place: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None


class Reader(ABC):
    """Reads the files of one format, row by row.

    `name` is what a recipe says as `file_format`; `suffixes` are those of files that are read so
    without being told, in lower case, without dot and compression. `holds` says how files may
    begin: `rows` of text, `prose` or `markup` of text, or `binary` data, of which nothing is known.
    """

    name: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[Holds] = "binary"

    def requires(self) -> Mapping[str, str]:
        """Importable modules that it needs, each with what `pip install` takes."""
        return {}

    def split(self, file: InputFile) -> Iterable[Part]:
        """The parts that can be read on their own, in the order of the data; by default the whole.

        None where the file is known to be empty. Raises `BrokenFileError` where it cannot be read.
        """
        return [Part(file.size)]

    @abstractmethod
    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        """The rows of the part at a place that `split` gave, in order, bad ones included.

        Positions are those in the file, whatever its parts. Raises `BrokenFileError` after the last
        row that can be read, where that is not the end.
        """
