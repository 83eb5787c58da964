"""Lists of words, one a line of a file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core import path_identity
from datachef.operators.text.words import offsets_of, sums


def entries(path: str) -> pl.Series:
    """The lines of a file in small letters, each once: without blank ones, spaces at the ends, and
    comments, which begin with #."""
    lines = pl.Series(Path(path).read_text("utf-8-sig").splitlines(), dtype=pl.String)
    words = lines.str.strip_chars().str.to_lowercase()
    return words.filter((words != "") & ~words.str.starts_with("#")).unique(maintain_order=True)


def read_list(path: str) -> pl.Series:
    """The entries of a file, which are kept in memory."""
    return _remembered(path, str(path_identity(path)))


@lru_cache(maxsize=16)
def _remembered(path: str, content: str) -> pl.Series:
    """An operator is built anew for every recipe; its list stays until the `content` of the file is
    another."""
    return entries(path)


def list_problem(parameter: str, path: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a file of words, as `check` reports it; a missing file is reported
    elsewhere."""
    if not Path(path).is_file():
        return
    try:
        empty = read_list(path).is_empty()
    except (OSError, ValueError) as error:
        yield parameter, f"no list of words: {error}", "write one word a line, in UTF-8"
    else:
        if empty:
            yield parameter, "the list has no words", "write one word a line"


def share_listed(words: pl.Expr, listed: pl.Series) -> pl.Expr:
    """The share of the words of each text, a column of lists, that are on a list."""

    def measure(column: pl.Series) -> pl.Series:
        flat: Any = column.explode(empty_as_null=False, keep_nulls=False)
        lengths = column.list.len()
        found = sums(flat.is_in(listed.implode()).to_numpy(), offsets_of(lengths))
        return pl.Series(column.name, found) / lengths.clip(1)

    return words.map_batches(measure, return_dtype=pl.Float64, is_elementwise=True)
