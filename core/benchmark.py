"""The questions of a benchmark, or of a training split that resembles it, with gold answers."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import zstandard

from datachef.core.errors import DatachefError, RowError
from datachef.core.formats import fill
from datachef.core.task import BenchmarkFile, Examples


@dataclass(frozen=True)
class BenchmarkItem:
    """A question with its gold answer; several accepted answers stand one per line.

    `choices` are the options in their order, where there are any; `row` is all that the file says
    of the item, such as unit tests.
    """

    prompt: str
    answer: str
    choices: tuple[str, ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict)


def read_benchmark(benchmark: BenchmarkFile | Examples) -> list[BenchmarkItem]:
    """The items of a file, in its order.

    Raises `DatachefError` where the file cannot be read or a row lacks the prompt.
    """
    choices = benchmark.choices if isinstance(benchmark, BenchmarkFile) else None
    items = []
    for number, row in enumerate(_read_rows(Path(benchmark.path)), start=1):
        try:
            prompt = _text(row, benchmark.prompt)
        except RowError:
            raise DatachefError(
                f"row {number} of {benchmark.path} has no {benchmark.prompt!r}",
                hint="name the field with the question as `prompt`",
            ) from None
        try:
            answer = _text(row, benchmark.answer)
        except RowError:
            answer = ""
        options = row.get(choices) if choices else None
        items.append(BenchmarkItem(prompt, answer, _options(options), row))
    return items


def _text(row: Mapping[str, Any], spec: str) -> str:
    value = row.get(spec)
    return "\n".join(map(str, value)) if isinstance(value, list) else fill(row, spec)


def _options(value: Any) -> tuple[str, ...]:
    """The texts of options, given as a list, as `{text: [...]}`, or as label to text."""
    if isinstance(value, Mapping):
        value = value.get("text", list(value.values()))
    if not isinstance(value, list | tuple):
        return ()
    return tuple(str(o.get("text", o)) if isinstance(o, Mapping) else str(o) for o in value)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path).to_dicts()
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema=False).to_dicts()
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        elif path.suffix == ".zst":
            raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
        return [orjson.loads(line) for line in raw.splitlines() if line.strip()]
    except (OSError, EOFError, ValueError, pl.exceptions.PolarsError, zstandard.ZstdError) as error:
        raise DatachefError(
            f"cannot read the benchmark {path}: {error}",
            hint="a benchmark is a jsonl, jsonl.gz, jsonl.zst, Parquet or CSV file",
        ) from error
