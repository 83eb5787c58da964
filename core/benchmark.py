"""The questions of a benchmark, or of a training split that resembles it, with gold answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datachef.core.errors import DatachefError, RowError
from datachef.core.files.readers import read_file
from datachef.core.formats import fill
from datachef.core.paths import not_expanded
from datachef.core.problems import did_you_mean
from datachef.core.source import SourceError
from datachef.core.system_errors import raise_environment_failure
from datachef.core.task import BenchmarkFile, Examples

# Of all items together, unpacked: they are held in memory, by every worker.
MOST_BYTES = 256 * 2**20


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
    return "\n".join(map(str, value)) if isinstance(value, list) else fill(row, spec)


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
                    hint="a benchmark is read whole or not at all: mend the row or leave it out",
                )
    except SourceError as error:
        raise_environment_failure(error, path)
        raise DatachefError(
            f"cannot read the benchmark {path}: {error}{not_expanded(path)}",
            hint=error.hint or "a benchmark is a JSON, Parquet, CSV or text file, .gz or .zst too",
        ) from error
