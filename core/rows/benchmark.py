"""The items of a benchmark or of a training split like it, and whether its file has the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from datachef.core.contracts.metric import BenchmarkItem
from datachef.core.contracts.source import SourceError
from datachef.core.contracts.task import BenchmarkFile, Examples
from datachef.core.errors import DatachefError, RowError, did_you_mean, shortened
from datachef.core.files.readers import read_file
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.paths import file_identity, not_expanded
from datachef.core.text.values import composed_text

# Of all items together, unpacked: they are held in memory, by every worker.
MOST_BYTES = 256 * 2**20
_SLOT = re.compile(r"\{([^{}]+)\}")


def read_benchmark(benchmark: BenchmarkFile | Examples) -> list[BenchmarkItem]:
    """The items of a file, in its order.

    Raises `DatachefError` where the file cannot be read or a row lacks the prompt.
    """
    choices = benchmark.choices if isinstance(benchmark, BenchmarkFile) else None
    items = []
    size = 0
    for number, row in enumerate(read_rows(benchmark), start=1):
        try:
            prompt = _text(row, benchmark.prompt)
        except RowError:
            raise DatachefError(
                f"row {number} of {benchmark.path} has no {benchmark.prompt!r}",
                hint="name the field with the question as `prompt`: "
                + did_you_mean(benchmark.prompt, row),
            ) from None
        try:
            answer = _text(row, benchmark.answer)
        except RowError:
            answer = ""
        size += len(prompt) + len(answer)
        if size > MOST_BYTES:
            raise _too_large(benchmark.path)
        options = row.get(choices) if choices else None
        items.append(BenchmarkItem(prompt, answer, _options(options), row))
    return items


def _text(row: Mapping[str, Any], spec: str) -> str:
    value = row.get(spec)
    return "\n".join(map(str, value)) if isinstance(value, list) else composed_text(row, spec)


def _too_large(path: str) -> DatachefError:
    return DatachefError(
        f"{path} holds more than {MOST_BYTES:,} bytes of items, unpacked",
        hint="items are held in memory: take fewer of them, or leave out fields that nobody reads",
    )


def _options(value: Any) -> tuple[str, ...]:
    """The texts of options, given as a list, as `{text: [...]}`, or as label to text."""
    if isinstance(value, Mapping):
        value = value.get("text", list(value.values()))
    if not isinstance(value, list | tuple):
        return ()
    return tuple(str(o.get("text", o)) if isinstance(o, Mapping) else str(o) for o in value)


def read_rows(benchmark: BenchmarkFile | Examples) -> Iterator[Mapping[str, Any]]:
    """The rows of a file, as they stand. Raises `DatachefError` where one cannot be read."""
    path = benchmark.path
    size = 0
    try:
        for raw in read_file(path, benchmark.encoding, benchmark.csv):
            size += raw.size
            if size > MOST_BYTES:
                raise _too_large(path)
            if raw.data is not None:
                yield raw.data
            elif raw.reason:
                line = f" line {raw.line}" if raw.line else ""
                raise DatachefError(
                    f"{path}{line}: {raw.detail or raw.reason}",
                    hint="a benchmark is read whole or not at all: repair the row or leave it out",
                )
    except SourceError as error:
        raise_environment_failure(error, path)
        raise DatachefError(
            f"cannot read the benchmark {path}: {error}{not_expanded(path)}",
            hint=error.hint or "a benchmark is a JSON, Parquet, CSV or text file, .gz or .zst too",
        ) from error


@dataclass(frozen=True)
class Misfit:
    """What is wrong with one parameter of a file of items; `doubtful` where it may be meant so."""

    parameter: str
    message: str
    hint: str
    doubtful: bool = False


def misfits(part: BenchmarkFile | Examples, *, runs_code: bool = False) -> tuple[Misfit, ...]:
    """Reads the items and tells which of the named fields they lack; nothing where all is well.

    Every item has a prompt; each other field that is named is in at least one of them. The fields
    of `program` count where the metric runs code.
    """
    return _misfits(part, runs_code, file_identity(part.path))


@lru_cache(maxsize=32)
def _misfits(part: BenchmarkFile | Examples, runs_code: bool, content: str) -> tuple[Misfit, ...]:
    try:
        rows = list(read_rows(part))
    except DatachefError as error:
        return (Misfit("path", error.message, error.hint),)
    if not rows:
        return (Misfit("path", f"{part.path} holds no items", "is it the right file?"),)
    return tuple(_found(part, rows, runs_code))


def _found(
    part: BenchmarkFile | Examples, rows: Sequence[Mapping[str, Any]], runs_code: bool
) -> Iterator[Misfit]:
    for number, row in enumerate(rows, start=1):
        if lacking := _lacking(part.prompt, row):
            who = f"row {number} of" if any(not _lacking(part.prompt, r) for r in rows) else ""
            yield _misfit("prompt", lacking, f"{who} {part.path}".strip(), row)
            break
    names = ["answer", "reference", "choices", *(["program"] if runs_code else [])]
    for name in names:
        spec = getattr(part, name, None)
        if spec is None:
            continue
        own = {"answer", "prompt"} if name == "program" else set()
        lacks = [_lacking(spec, row, plain=name == "choices") - own for row in rows]
        if all(lacks):
            lacking = set.intersection(*lacks) or lacks[0]
            # Test items whose answers are kept secret still serve to decontaminate.
            secret = isinstance(part, BenchmarkFile) and name not in part.model_fields_set
            yield _misfit(name, lacking, part.path, rows[0], secret)


def _lacking(spec: str, row: Mapping[str, Any], *, plain: bool = False) -> set[str]:
    """The fields of a specification that a row has not, or has nothing in."""
    names = [spec] if plain else _SLOT.findall(spec) or [spec]
    return {name for name in names if not _has(row, name)}


def _has(row: Mapping[str, Any], name: str) -> bool:
    if name in row:
        return row[name] is not None
    try:
        composed_text(row, name)
    except RowError as error:
        return error.reason != "missing_field"
    return True


def _misfit(
    parameter: str,
    lacking: set[str],
    where: str,
    row: Mapping[str, Any],
    doubtful: bool = False,
) -> Misfit:
    name = min(lacking)
    message = f"{where} has no field {shortened(name)}, which `{parameter}` names"
    return Misfit(parameter, message, did_you_mean(name, row), doubtful)
