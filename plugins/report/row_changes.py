"""Which rows one corpus has and another has not, in memory for a few numbers of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from os.path import commonprefix
from typing import Literal

import polars as pl

from datachef.core import BYTES_PER_TOKEN, FinishedRun

# What a row is in two corpora: in both but for its text; in one alone; there further copies of a
# row, or the content of a row with another id, that the other has.
Kind = Literal["same", "changed", "gained", "lost", "more_copies", "fewer_copies", "renamed"]
KINDS: Mapping[Kind, str] = {
    "same": "the same", "changed": "changed", "gained": "gained", "lost": "lost",
    "more_copies": "further copies", "fewer_copies": "fewer copies", "renamed": "with another id",
}  # fmt: skip
_CONTENT = ("text", "messages", "prompt", "completion")
_COPY = r"~\d+$"
# Of a text that changes beyond these, no change is shown.
_READ_CHARACTERS = 100_000


@dataclass(frozen=True)
class RowCount:
    """How many rows of a source are of one kind, and their tokens: as the corpus counts them, or
    without such a column one per four bytes."""

    source: str
    kind: Kind
    rows: int
    tokens: int


@dataclass(frozen=True)
class LossReason:
    """Rows of a source that one corpus has, and why the run of the other rejected them; `reason` is
    None where they are not among the rejected rows that it kept."""

    source: str
    kind: Literal["gained", "lost"]
    step: str | None
    reason: str | None
    rows: int
    tokens: int


@dataclass(frozen=True)
class ComparedRow:
    """A row that differs: its text in the corpora that have it, and why it was rejected."""

    id: str
    source: str
    kind: Kind
    before: str | None
    after: str | None
    step: str | None = None
    reason: str | None = None
    signals: str | None = None


class RowChanges:
    """The rows of two corpora compared by `id`, and those of unknown ids by their content; `counts`
    says how many of each source are of each kind, where there are any.

    Of each row a few numbers are held, hashes among them; texts are read of the rows shown alone.
    """

    def __init__(self, before: FinishedRun, after: FinishedRun) -> None:
        self._runs = (before, after)
        one, other = (_rows(run).collect(engine="streaming") for run in self._runs)
        lost, gained = one.join(other, "row", "anti"), other.join(one, "row", "anti")
        fewer, more = _copies(lost, other), _copies(gained, one)
        lost, gained = lost.join(fewer, "row", "anti"), gained.join(more, "row", "anti")
        renamed = gained.join(lost, "content", "semi")
        lost = lost.join(gained, "content", "anti")
        gained = gained.join(renamed, "row", "anti")
        same = other.join(one, ["row", "content"], "semi")
        changed = other.join(one, "row", "semi").join(same, "row", "anti")
        self._tables: Mapping[Kind, pl.DataFrame] = {
            "changed": changed, "gained": gained, "lost": lost, "more_copies": more,
            "fewer_copies": fewer, "renamed": renamed,
        }  # fmt: skip
        self.counts = [*_counted("same", same)]
        for kind, table in self._tables.items():
            self.counts += _counted(kind, table)

    def reasons(self) -> list[LossReason]:
        """By source and reason, why a run rejected the rows that only the other's corpus has."""
        found: list[LossReason] = []
        for kind, table in self._one_sided():
            known = table.join(self._rejects(kind), "base", "left")
            counted = known.group_by("source", "step", "reason").agg(
                pl.len().alias("rows"), pl.col("tokens").sum()
            )
            counted = counted.sort("source", -pl.col("rows").cast(pl.Int64), "step", "reason")
            found += [LossReason(kind=kind, **row) for row in counted.iter_rows(named=True)]
        return found

    def samples(self, each: int, characters: int) -> list[ComparedRow]:
        """Up to `each` of the rows gained, lost and changed of every source: those of which a
        reason is known, and else whichever, the same at every call."""
        chosen = [
            table.join(self._rejects(kind), "base", "left")
            .sort("source", pl.col("reason").is_null(), "base", "row")
            .unique("base", keep="first", maintain_order=True)
            .group_by("source", maintain_order=True)
            .head(each)
            .with_columns(kind=pl.lit(kind))
            for kind, table in self._one_sided()
        ]
        changed = self._tables["changed"].sort("source", "row").with_columns(kind=pl.lit("changed"))
        chosen.append(changed.group_by("source", maintain_order=True).head(each))
        rows = pl.concat(chosen, how="diagonal_relaxed")
        before, after = (_texts(run, rows["row"]) for run in self._runs)
        shown = rows.join(before, "row", "left", maintain_order="left")
        shown = shown.join(after, "row", "left", maintain_order="left", suffix="_after")
        shown = shown.with_columns(pl.coalesce("id", "id_after"))
        names = {"text": "before", "text_after": "after"}
        wanted = [field.name for field in fields(ComparedRow)]
        found = shown.rename(names).select(wanted)
        return [_cut(ComparedRow(**row), characters) for row in found.iter_rows(named=True)]

    def _one_sided(self) -> Iterator[tuple[Literal["gained", "lost"], pl.DataFrame]]:
        yield "lost", self._tables["lost"]
        yield "gained", self._tables["gained"]

    def _rejects(self, kind: Literal["gained", "lost"]) -> pl.DataFrame:
        """What the run that has not the rows of a kind tells of its rejected rows: step, reason and
        signals by the hash of the id that they had there."""
        run = self._runs[kind == "lost"]
        return run.rejects.select(
            _hash(pl.col("id")).alias("base"), "step", "reason", "signals"
        ).unique("base", keep="first", maintain_order=True)


def _rows(run: FinishedRun) -> pl.LazyFrame:
    """Of each row of a corpus its source, its tokens, and hashes of its id, of the id without the
    number of a copy (`base`) and of its content."""
    schema = run.corpus.collect_schema()
    size = _content(schema).str.len_bytes()
    tokens = pl.col("tokens") if "tokens" in schema else (size / BYTES_PER_TOKEN).ceil()
    return run.corpus.select(
        _hash(pl.col("id")).alias("row"),
        _hash(pl.col("id").str.replace(_COPY, "")).alias("base"),
        "source",
        _hash(_content(schema)).alias("content"),
        tokens.cast(pl.Int64).fill_null(0).alias("tokens"),
    )


def _hash(text: pl.Expr) -> pl.Expr:
    return text.hash(seed=0)


def _content(schema: pl.Schema) -> pl.Expr:
    """The content of a row as text; conversations turn by turn as JSON, in any of the schemas."""
    texts = [_text(schema, name) for name in _CONTENT if name in schema]
    return pl.concat_str(texts, separator="\n")


def _text(schema: pl.Schema, name: str) -> pl.Expr:
    if not isinstance(schema[name], pl.List):
        return pl.col(name).cast(pl.String).fill_null("")
    turns = pl.col(name).list.eval(pl.element().struct.json_encode())
    return turns.list.join("\n").fill_null("").alias(name)


def _cut(row: ComparedRow, characters: int) -> ComparedRow:
    """The row with so many characters of its text, of one that changed around the first change."""
    first = 0
    if row.before is not None and row.after is not None:
        alike = len(commonprefix((row.before, row.after)))  # noqa: RUF071 - texts, no paths
        first = max(0, alike - characters // 8)
    before, after = (text and text[first : first + characters] for text in (row.before, row.after))
    return replace(row, before=before, after=after)


def _texts(run: FinishedRun, rows: pl.Series) -> pl.DataFrame:
    """The ids and the beginnings of the texts of a few rows."""
    row = _hash(pl.col("id")).alias("row")
    text = _content(run.corpus.collect_schema()).str.slice(0, _READ_CHARACTERS).alias("text")
    some = run.corpus.filter(row.is_in(rows.implode())).select(row, "id", text)
    return some.collect(engine="streaming").unique("row", maintain_order=True)


def _counted(kind: Kind, rows: pl.DataFrame) -> Iterator[RowCount]:
    sums = rows.group_by("source").agg(pl.len(), pl.col("tokens").sum())
    for source, number, tokens in sums.sort("source").iter_rows():
        yield RowCount(source, kind, number, tokens)


def _copies(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Those of the rows that are further copies of a row of which the other corpus has one too."""
    return rows.filter(pl.col("row") != pl.col("base")).join(other, "base", "semi")
