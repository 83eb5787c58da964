"""Samples of what a run rejected, and the changes of its transforms as differences of words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import orjson
import polars as pl

from datachef.core import FinishedRun
from datachef.core.pages.rendering import number

_PIECES = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class RejectedRows:
    """The rows that a step rejected for one reason: their number, and some of those kept."""

    step: str
    op: str
    outcome: str
    reason: str
    count: int
    shown: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class ChangedRows:
    """The rows that a transform changed: their number of all that it kept, and some of them."""

    step: str
    op: str
    changed: int
    rows: int
    shown: Sequence[ChangedRow]


@dataclass(frozen=True)
class ChangedRow:
    """A row before and after: pieces of text that stayed (`same`), went (`gone`) or came (`new`);
    of a row of which several were made, its text and theirs."""

    id: str
    source: str
    pieces: Sequence[tuple[str, str]]
    made: Sequence[str]


def rejected(run: FinishedRun, each: int, characters: int) -> list[RejectedRows]:
    """For every step and reason, up to `each` of the rows that were kept to look at."""
    kept = run.rejects.with_columns(pl.col("text").fill_null(""))
    long = pl.col("text").str.len_chars() > characters
    cut = pl.when(long).then(pl.col("text").str.slice(0, characters) + "…").otherwise("text")
    by_reason = kept.with_columns(cut).partition_by("step", "outcome", "reason", as_dict=True)
    return [
        RejectedRows(
            entry.path, entry.op, outcome, reason, count,
            [
                row | {"signals": _signals(row["signals"])}
                for row in by_reason.get((entry.path, outcome, reason), kept.clear())
                .head(each)
                .iter_rows(named=True)
            ],
        )
        for entry in run.ledger
        for outcome, counts in (("dropped", entry.dropped), ("failed", entry.failed))
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]  # fmt: skip


def _signals(raw: str | None) -> dict[str, str]:
    """The signals of a row by name, numbers as people read them."""
    found = orjson.loads(raw) if raw else {}
    return {
        name: number(value) if isinstance(value, int | float) else str(value)
        for name, value in found.items()
        if value is not None
    }


def changed(run: FinishedRun, each: int, characters: int) -> list[ChangedRows]:
    """For every transform, up to `each` of the rows that were kept of those that it changed."""
    found = []
    for entry in run.ledger:
        told = run.signals.filter(pl.col("step") == entry.path, pl.col("signal") == "text_changed")
        if told.height:
            rows = run.changes.filter(pl.col("step") == entry.path).head(each)
            count = int(told.filter(pl.col("low") == 1)["rows"].sum())
            shown = [_changed(row, characters) for row in rows.iter_rows(named=True)]
            found.append(ChangedRows(entry.path, entry.op, count, int(told["rows"].sum()), shown))
    return found


def _changed(row: dict[str, Any], characters: int) -> ChangedRow:
    before, after = row["before"][:characters], [text[:characters] for text in row["after"]]
    if len(after) == 1:
        return ChangedRow(row["id"], row["source"], differences(before, after[0]), ())
    return ChangedRow(row["id"], row["source"], [("same", before)], after[:5])


def differences(before: str, after: str) -> list[tuple[str, str]]:
    """Pieces of text that are the same, gone and new, in order; words are never cut."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    pieces: list[tuple[str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("same", "".join(old[a:b])))
            continue
        pieces += [
            (name, "".join(text)) for name, text in (("gone", old[a:b]), ("new", new[c:d])) if text
        ]
    return pieces
