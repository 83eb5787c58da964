"""Whether the files of a task, its benchmark and its examples, have the fields that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from datachef.core.benchmark import read_rows
from datachef.core.errors import DatachefError, RowError
from datachef.core.files.identity import file_identity
from datachef.core.formats import fill
from datachef.core.problems import did_you_mean, shortened
from datachef.core.task import BenchmarkFile, Examples

_SLOT = re.compile(r"\{([^{}]+)\}")


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
        fill(row, name)
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
