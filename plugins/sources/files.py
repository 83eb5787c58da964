"""A source of files: JSON lines, Parquet, CSV or text, local or behind any fsspec URL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from datachef.core.files.readers import READERS, scan_parquet
from datachef.core.files.storage import File, find, is_compressed, is_url, kind
from datachef.core.problems import did_you_mean
from datachef.core.source import RawRow, Source, SourceError, Unit

# A unit is small, so that workers end together, but a file is not cut into more than so many.
UNIT_BYTES = 8 * 2**20
MOST_UNITS = 256

_Path = Annotated[str, Field(min_length=1, max_length=4096)]


class FileSource(Source):
    """Files by path, pattern or URL.

    `jsonl`, `ndjson`, `csv`, `tsv`, `txt`, `md` and `parquet` are told by their suffix, each also
    with `.gz` or `.zst` where that makes sense.
    """

    key: ClassVar[str] = "path"

    path: _Path | tuple[_Path, ...] = Field(description="A path, pattern or URL, or several.")
    rows: Literal["file", "line"] = Field(
        "file", description="What is a row in plain text: the whole file or a line."
    )

    @field_validator("path")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        for path in [value] if isinstance(value, str) else value:
            if "\0" in path:
                raise ValueError("a path holds no NUL character")
        return value

    def located(self, folder: Path) -> Self:
        paths = (self.path,) if isinstance(self.path, str) else self.path
        placed = tuple(p if is_url(p) else str(folder / Path(p).expanduser()) for p in paths)
        return self.model_copy(update={"path": placed})

    def units(self) -> Sequence[Unit]:
        paths = (self.path,) if isinstance(self.path, str) else self.path
        units = [unit for file in find(paths) for unit in self._cut(file)]
        if not units:
            raise SourceError("empty_source", f"{', '.join(paths)}: the files hold no rows")
        return units

    def _cut(self, file: File) -> Iterator[Unit]:
        form = kind(file.path)
        if form not in READERS:
            raise SourceError(
                "unknown_file_format",
                f"{file.name}: no reader for files that end in {form or 'no suffix'!r}",
                did_you_mean(form, READERS),
            )
        place: dict[str, Any] = {"path": file.path, "kind": form}
        if form == "parquet":
            yield from _row_ranges(file, place)
        elif READERS[form] is READERS["jsonl"] and not is_compressed(file.path) and file.size:
            step = max(UNIT_BYTES, -(-file.size // MOST_UNITS))
            for start in range(0, file.size, step):
                stop = min(start + step, file.size)
                yield _unit(file, place | {"start": start, "stop": stop}, stop - start)
        else:
            yield _unit(file, place | {"by_line": self.rows == "line"}, file.size)

    def read(self, unit: Unit) -> Iterator[RawRow]:
        return READERS[unit.place["kind"]](unit)


def _row_ranges(file: File, place: dict[str, Any]) -> Iterator[Unit]:
    import polars as pl

    try:
        rows = scan_parquet(file.path).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError("broken_file", f"{file.name}: {str(error).splitlines()[0]}") from error
    step = max(1, rows * UNIT_BYTES // max(file.size, 1), -(-rows // MOST_UNITS))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        yield _unit(
            file, place | {"start": start, "stop": stop}, file.size * (stop - start) // rows
        )


def _unit(file: File, place: dict[str, Any], size: int) -> Unit:
    identity = json.dumps([file.identity, place.get("start", 0), place.get("stop")])
    return Unit(file.name, identity, size, place)
