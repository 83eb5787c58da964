"""A source of files in any registered format, local or behind any fsspec URL."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from datachef.core import (
    BrokenFileError,
    MissingPackageError,
    Part,
    Partition,
    RawRow,
    Reader,
    ReadOptions,
    Source,
    SourceError,
    located,
    raise_environment_failure,
)
from datachef.core.contracts.reader import part_bytes_of
from datachef.core.contracts.source import CsvOptions, Encoding
from datachef.core.errors import did_you_mean
from datachef.core.files.delimited import DELIMITERS
from datachef.core.files.finding import File, find
from datachef.core.files.readers import CsvReader, StoredFile, reader_of
from datachef.core.files.remote import AT_ONCE, verify_remote
from datachef.core.files.storage import kind, wrong_beginning
from datachef.core.files.urls import Url
from datachef.core.registry.installed import installed
from datachef.core.system.paths import as_path, is_url, verify_file
from datachef.plugins.sources.saved_datasets import files_of

_Path = Annotated[str, Field(min_length=1, max_length=4096)]


class FileSource(Source):
    """Files by path, pattern or URL, or a folder that `datasets` saved.

    The suffix says the format of a file, before `.gz` or `.zst` if it is compressed.
    """

    key: ClassVar[str] = "path"

    path: _Path | tuple[_Path, ...] = Field(description="A path, pattern or URL, or several.")
    file_format: str | None = Field(
        None, description="Format of the files, if their suffix does not say it."
    )
    rows: Literal["file", "line"] = Field(
        "file", description="What is a row in plain text: the whole file or a line."
    )
    encoding: Encoding | None = None
    csv: CsvOptions | None = Field(
        None, description="How csv and tsv files are written; with it, txt files are tables too."
    )

    @field_validator("path")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        for path in [value] if isinstance(value, str) else value:
            if "\0" in path:
                raise ValueError("a path holds no NUL character")
        return value

    def located(self, folder: Path) -> Self:
        placed = tuple(_located(folder, path) for path in self._paths)
        return self.model_copy(update={"path": placed})

    @property
    def _paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def _formats(self) -> Mapping[str, type[Reader]]:
        return self.readers or installed().vocabulary.readers

    def readers_of(self, partitions: Iterable[Partition]) -> Mapping[str, type[Reader]]:
        names = sorted({partition.place["reader"] for partition in partitions})
        return {name: self._formats[name] for name in names}

    def partitions(self) -> Sequence[Partition]:
        network = self.network
        files = find([file for path in self._paths for file in files_of(path)], network)
        readers: dict[str, Reader] = {}  # by suffix: there may be very many files
        lost: list[str] = []
        partitions: list[Partition] = []
        part_bytes = part_bytes_of(sum(file.size for file in files))
        for file in files:
            suffix = kind(file.path)
            if suffix not in readers:
                readers[suffix] = _ready(self._reader(file.path))
            stored = StoredFile(file.path, file.size, self._options, network, part_bytes)
            partitions += _split(file, stored, readers[suffix], lost)
        if len(lost) > self.max_failed_files:
            raise SourceError(
                "broken_file",
                "; ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else ""),
                f"mend the source, or allow it: max_failed_files: {len(lost)}",
            )
        if not partitions:
            names = ", ".join(self._paths)
            raise SourceError("empty_source", f"{names}: the files hold no rows")
        return partitions

    def _reader(self, path: str) -> type[Reader]:
        formats = self._formats
        if self.file_format is None:
            return reader_of(path, formats.values(), self.csv)
        if self.file_format not in formats:
            raise SourceError(
                "unknown_file_format",
                f"nothing registered reads the format {self.file_format!r}",
                did_you_mean(self.file_format, formats),
            )
        return formats[self.file_format]

    @property
    def _options(self) -> ReadOptions:
        return ReadOptions(self.encoding, self.rows == "line", self.csv)

    def read(self, partition: Partition) -> Iterator[RawRow]:
        path = partition.place["path"]
        if not _planned(partition):
            raise BrokenFileError(_trouble(path), passing=True)
        reader = self._formats[partition.place["reader"]]()
        stored = StoredFile(path, partition.size, self._options, self.network)
        yield from reader.read(stored, partition.place)

    def verify(self, partition: Partition) -> Any:
        path, planned = partition.place["path"], _planned(partition)
        if is_url(path):
            return verify_remote(path, planned, self.network)
        return verify_file(path, planned) if planned else None

    def verify_all(self, partitions: Iterable[Partition]) -> None:
        named = {partition.name: partition for partition in partitions}.values()
        elsewhere = [each for each in named if is_url(each.place["path"])]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(self.verify, elsewhere):
                pass
        super().verify_all(each for each in named if not is_url(each.place["path"]))

    def advice(self, columns: Iterable[str]) -> str:
        names = list(columns)
        tables = any(map(self._is_table, self._paths))
        if not tables or len(names) != 1:
            return ""
        meant = next((mark for mark in DELIMITERS if mark in names[0]), None)
        return (
            ""
            if meant is None
            else (
                f"the header is one column; is {meant!r} the delimiter? "
                f"csv: {{delimiter: {json.dumps(meant)}}}"
            )
        )

    def _is_table(self, path: str) -> bool:
        try:
            return issubclass(self._reader(path), CsvReader)
        except SourceError:
            return False


def _ready(kind: type[Reader]) -> Reader:
    """A reader of which all that it needs is installed."""
    reader = kind()
    for module, requirement in reader.requires().items():
        if find_spec(module) is None:
            raise MissingPackageError(module, requirement, f"a file of the format {kind.name}")
    return reader


def _split(file: File, stored: StoredFile, reader: Reader, lost: list[str]) -> list[Partition]:
    """The partitions of a file; what keeps it from being read is noted in `lost`."""
    place: dict[str, Any] = {"path": file.path, "reader": reader.name}
    trouble = file.trouble
    if not trouble and not is_url(file.path):
        trouble = wrong_beginning(file.path, reader.holds)
    parts = [Part(file.size)]
    if not trouble:
        try:
            parts = list(reader.split(stored))
        except BrokenFileError as error:
            raise_environment_failure(error, file.name)
            trouble = str(error)
    if trouble:
        lost.append(f"{file.name}: {trouble}")
    return [
        Partition(
            file.name,
            json.dumps([file.identity, part.place]),
            part.size,
            {**place, **part.place},
            part.rows,
        )
        for part in parts
    ]


def _planned(partition: Partition) -> str:
    """The identity of a partition's file; empty where it could not be read at planning."""
    return str(json.loads(partition.identity)[0])


def _trouble(path: str) -> str:
    """What keeps a file from being read."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - as in `finding`
    except FileNotFoundError:
        return "a link to a file that is not there"
    except OSError as error:
        raise_environment_failure(error, path)
        return error.strerror or str(error)
    return "it could not be read when the run was planned" if regular else "it is no regular file"


def _located(folder: Path, path: str) -> str:
    """A path as it is meant in a file of `folder`; a URL of this machine's files is a path too."""
    path = as_path(path)
    if not is_url(path):
        return str(located(folder, path))
    try:
        url = Url.of(path)
    except SourceError:
        return path  # told where it is looked for
    return str(replace(url, rest=str(located(folder, url.rest))) if url.is_local else url)
