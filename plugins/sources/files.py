"""A source of files: JSON, Parquet, tables in text, or text, local or behind any fsspec URL."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from datachef.core import (
    BrokenFileError,
    Partition,
    RawRow,
    Source,
    SourceError,
    located,
    raise_environment_failure,
)
from datachef.core.contracts.source import CsvOptions, Encoding
from datachef.core.files.delimited import DELIMITERS
from datachef.core.files.finding import File, find
from datachef.core.files.parquet import ParquetFile
from datachef.core.files.readers import READERS, can_be_cut, form_of, place_of
from datachef.core.files.remote import verify_remote
from datachef.core.files.storage import wrong_beginning
from datachef.core.files.urls import Url, as_path, is_url
from datachef.core.system.network import Network
from datachef.core.system.paths import verify_file

# A partition is small, so that workers end together, but a file is not cut into more than so many.
UNIT_BYTES = 8 * 2**20
MOST_UNITS = 256
# As well as this text is packed, at most, where it is not made to be large.
MOST_COMPRESSION = 20

_Path = Annotated[str, Field(min_length=1, max_length=4096)]


class FileSource(Source):
    """Files by path, pattern or URL.

    `jsonl`, `ndjson`, `json`, `csv`, `tsv`, `txt`, `md` and `parquet` are told by their suffix,
    each also with `.gz` or `.zst` where that makes sense.
    """

    key: ClassVar[str] = "path"

    path: _Path | tuple[_Path, ...] = Field(description="A path, pattern or URL, or several.")
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

    def partitions(self) -> Sequence[Partition]:
        files = find(self._paths, self.network)
        lost: list[str] = []
        partitions = [partition for file in files for partition in self._cut(file, lost)]
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

    def _cut(self, file: File, lost: list[str]) -> Iterator[Partition]:
        """The partitions of a file; what keeps it from being read is noted in `lost`."""
        form = form_of(file.path, self.csv)
        place = place_of(file.path, form, self.encoding, self.csv)
        reached = self._reached(place)
        if READERS[form] is READERS["txt"]:
            place["by_line"] = self.rows == "line"
        if file.trouble:
            lost.append(f"{file.name}: {file.trouble}")
            yield _partition(file, place, file.size)
        elif not is_url(file.path) and (wrong := wrong_beginning(file.path)):
            lost.append(f"{file.name}: {wrong}")
            yield _partition(file, place, file.size)
        elif form == "parquet":
            yield from _row_ranges(file, place, self.network, lost)
        elif file.size > UNIT_BYTES and can_be_cut(reached):
            step = max(UNIT_BYTES, -(-file.size // MOST_UNITS))
            for start in range(0, file.size, step):
                stop = min(start + step, file.size)
                cut = {"kind": "jsonl", "start": start, "stop": stop}
                yield _partition(file, place | cut, stop - start)
        else:
            yield _partition(file, place, file.size)

    def read(self, partition: Partition) -> Iterator[RawRow]:
        if not _planned(partition):
            raise BrokenFileError(_trouble(partition.place["path"]), passing=True)
        yield from READERS[partition.place["kind"]](
            replace(partition, place=self._reached(partition.place))
        )

    def _reached(self, place: Mapping[str, Any]) -> Mapping[str, Any]:
        """A place with what reading it may reach, which its results do not depend on."""
        return {**place, "network": self.network.places} if is_url(place["path"]) else place

    def verify(self, partition: Partition) -> Any:
        path, planned = partition.place["path"], _planned(partition)
        if is_url(path):
            return verify_remote(path, planned, self.network)
        return verify_file(path, planned) if planned else None

    def advice(self, columns: Iterable[str]) -> str:
        names = list(columns)
        tables = any(READERS.get(form) is READERS["csv"] for form in map(self._form, self._paths))
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

    def _form(self, path: str) -> str:
        try:
            return form_of(path, self.csv)
        except SourceError:
            return ""


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


def _row_ranges(
    file: File, place: dict[str, Any], network: Network, lost: list[str]
) -> Iterator[Partition]:
    import polars as pl

    try:
        content = ParquetFile(file.path, network)
        rows = content.count()
        # of a file that is packed well, by what comes out of it
        size = max(file.size, content.unpacked() // MOST_COMPRESSION)
    except (pl.exceptions.PolarsError, BrokenFileError, OSError) as error:
        raise_environment_failure(error, file.name)
        lost.append(f"{file.name}: {(str(error).splitlines() or [''])[0]}")
        yield _partition(file, place, file.size)
        return
    step = max(1, rows * UNIT_BYTES // max(size, 1), -(-rows // MOST_UNITS))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        part = place | {"start": start, "stop": stop}
        yield _partition(file, part, file.size * (stop - start) // rows, stop - start)


def _partition(file: File, place: dict[str, Any], size: int, rows: int | None = None) -> Partition:
    identity = json.dumps([file.identity, place.get("start", 0), place.get("stop")])
    return Partition(file.name, identity, size, place, rows)
