"""Removes pieces of text that the corpus has before: each stays where it is first."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core import Context, CorpusOperator, Outcome, Size, reference_source
from datachef.operators.text.lines import FILLED

# Hashes whose counts are in memory at once, of 16 to 32 bytes each; of more, the summaries are read
# several times, and of the hashes each time others counted.
_HASHES_AT_ONCE = 20_000_000

Places = NDArray[np.int64]


class TextCutter(CorpusOperator):
    """Cuts what occurs again out of documents, or drops documents with much of it.

    A subclass says what `pieces` a text consists of, and gives a hash of every piece or run of
    `run` pieces. A decision has a line for every run of pieces that goes: the `id` of the document,
    `start` and `stop` among its pieces, and in `kept` the id of the document that keeps the first.
    Conversations stay as they are, and nothing goes because one of them says it.
    """

    # What stands between two pieces.
    separator: ClassVar[str] = "\n"
    # What the pieces are called in the ledger.
    unit: ClassVar[str] = "pieces"
    # About how many tokens have a hash of their own.
    tokens_per_hash: ClassVar[float] = 1.0

    against: str | None = reference_source(
        description="Another source of the recipe: what its documents have goes too, and the "
        "source itself is not in the corpus."
    )

    def reasons(self) -> tuple[str, ...]:
        return ("emptied",)

    def decision_bytes(self, size: Size) -> tuple[float, float]:
        hashes = size.tokens / self.tokens_per_hash
        memory = 32 * min(hashes, _HASHES_AT_ONCE) + 8 * size.rows
        return memory, super().decision_bytes(size)[1] + 8 * hashes

    @property
    def decides_by_row(self) -> bool:
        return True

    @property
    def run(self) -> int:
        """How many pieces a hash stands for."""
        return 1

    @abstractmethod
    def pieces(self) -> pl.Expr:
        """The pieces of `text` as list[str], at least one; with `separator` they make the text."""
        raise NotImplementedError

    @abstractmethod
    def hashes(self, documents: pl.DataFrame) -> pl.Series:
        """Of each document a list of hashes, null for a piece that may be repeated."""
        raise NotImplementedError

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        text = pl.col("text").fill_null("")
        if "messages" in batch.columns:
            text = pl.when(pl.col("messages").is_null()).then(text).otherwise(pl.lit(""))
        documents = batch.select("id", text.alias("text"))
        return documents.select("id", self.hashes(documents).alias("hashes"))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        places, first = _repeated(summaries)
        lengths = summaries.select(pl.col("hashes").list.len()).collect()["hashes"].to_numpy()
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        row = np.searchsorted(starts, places, side="right") - 1
        mine = row >= context.references
        places, first, row = places[mine], first[mine], row[mine]
        owner = np.searchsorted(starts, first, side="right") - 1
        begin, stop, at = _joined(places, first, row == owner, self.run, row)
        row = row[at]
        table = pl.LazyFrame(
            {
                "row": row,
                "start": begin - starts[row],
                "stop": stop - starts[row],
                "first": owner[at],
            }
        )
        ids = (
            summaries.select("id").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        )
        owners = ids.rename({"row": "first", "id": "kept"})
        decision = table.join(ids, on="row").join(owners, on="first").sort("row", "start")
        runs = decision.select("id", "start", "stop", "kept").collect(engine="streaming")
        context.count(f"repeated_{self.unit}", int((runs["stop"] - runs["start"]).sum()))
        return runs

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        rows = batch.select("id", "text").with_row_index("row").with_columns(pieces=self.pieces())
        runs = rows.select("id", "row").join(decision, on="id", maintain_order="left")
        if not runs.height:
            return Outcome(batch)
        lengths = (runs["stop"] - runs["start"]).to_numpy()
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        gone = pl.DataFrame(
            {
                "row": np.repeat(runs["row"].to_numpy(), lengths),
                "place": np.repeat(runs["start"].to_numpy(), lengths) + within,
            }
        )
        touched = rows.filter(pl.col("row").is_in(runs["row"].unique().implode()))
        return self.cut(batch, touched.select("row", "pieces"), gone, runs)

    def cut(
        self, batch: pl.DataFrame, rows: pl.DataFrame, gone: pl.DataFrame, runs: pl.DataFrame
    ) -> Outcome:
        """The batch without the pieces that go: `row` and `place` of each, and the runs of them."""
        pieces = rows.explode("pieces").with_columns(
            pl.int_range(pl.len(), dtype=pl.Int64).over("row").alias("place")
        )
        left = pieces.join(gone, on=["row", "place"], how="anti", maintain_order="left")
        texts = left.group_by("row").agg(pl.col("pieces").str.join(self.separator))
        found = rows.select("row").join(texts, on="row", how="left", maintain_order="left")
        text = batch["text"].scatter(found["row"], found["pieces"].fill_null(""))
        keep = np.ones(batch.height, np.bool_)
        keep[found["row"].to_numpy()] = text.gather(found["row"]).str.contains(FILLED).to_numpy()
        return dropping(batch.with_columns(text), batch, pl.Series(keep), runs, "emptied")


def dropping(
    result: pl.DataFrame, batch: pl.DataFrame, keep: pl.Series, runs: pl.DataFrame, reason: str
) -> Outcome:
    """The rows of `result` that are kept; the others, as they were, name the row that they copy."""
    first = runs.unique("row", keep="first").select(
        "id", pl.format("a copy of {}", "kept").alias("detail")
    )
    dropped = batch.filter(~keep).drop("detail", strict=False)
    dropped = dropped.join(first, on="id", how="left", maintain_order="left")
    dropped = dropped.with_columns(pl.lit(reason).alias("reason"))
    return Outcome(result.filter(keep), dropped)


def _joined(
    places: Places, first: Places, inside: NDArray[np.bool_], run: int, row: Places
) -> tuple[Places, Places, Places]:
    """Where the pieces of hashes at `places` begin and end, overlapping runs joined, and which hash
    begins each. Where a text repeats itself, the run that is `first` is left whole."""
    begin, stop = np.where(inside, np.maximum(places, first + run), places), places + run
    order = np.lexsort((stop, begin, row))
    begin, stop, row = begin[order], stop[order], row[order]
    apart = np.diff(row, prepend=-1) != 0
    apart[1:] |= begin[1:] > np.maximum.accumulate(stop)[:-1]
    at = np.flatnonzero(apart)
    return begin[at], np.maximum.reduceat(stop, at) if len(at) else stop, order[at]


def _repeated(summaries: pl.LazyFrame) -> tuple[Places, Places]:
    """The places, in the sequence of all hashes, of those that are there before; and for each where
    it is first."""
    count = summaries.select(pl.col("hashes").list.len().sum()).collect().item() or 0
    passes = -(-count // _HASHES_AT_ONCE)
    flat = summaries.select("hashes").explode("hashes", empty_as_null=False, keep_nulls=False)
    flat = flat.with_row_index("at").filter(pl.col("hashes").is_not_null())
    found: list[pl.DataFrame] = [pl.DataFrame(schema={"at": pl.UInt32, "first": pl.UInt32})]
    for number in range(passes):
        some = flat.filter(pl.col("hashes") % passes == number) if passes > 1 else flat
        counted = some.group_by("hashes").agg(pl.len(), pl.col("at").min().alias("first"))
        several = counted.filter(pl.col("len") > 1).select("hashes", "first")
        again = some.join(several, on="hashes").filter(pl.col("at") != pl.col("first"))
        found.append(again.select("at", "first").collect(engine="streaming"))
    table = pl.concat(found, how="vertical_relaxed").sort("at")
    return table["at"].to_numpy().astype(np.int64), table["first"].to_numpy().astype(np.int64)
