"""A decision is kept in parts, and each partition is given its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl
from hypothesis import given, strategies as st

from datachef.core import Context, CorpusOperator, OrderOperator, Outcome
from datachef.core.run.decision import divided

LINES = st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=6)


class Named(CorpusOperator):
    """Drops the rows that it is told to."""

    op: Literal["named"] = "named"

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        raise NotImplementedError


class Threshold(Named):
    """Decides on no single row."""

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        return Outcome(batch)


class Placed(OrderOperator, Named):
    """Says where rows stand."""

    op: Literal["named"] = "named"


def tables(ids: Sequence[Sequence[str]]) -> tuple[pl.LazyFrame, list[tuple[str, dict[str, int]]]]:
    """Summaries with several lines of a row, and their facts."""
    frames = [pl.DataFrame({"id": pl.Series(part, dtype=pl.String)}) for part in ids]
    facts = [(str(number), {"rows": frame.height}) for number, frame in enumerate(frames)]
    return pl.concat(frames).lazy(), facts


@given(LINES, st.data())
def test_each_table_has_what_is_said_of_its_rows_in_its_order(
    numbers: list[list[int]], data: st.DataObject
) -> None:
    ids = [[f"{part}-{number}" for number in own] for part, own in enumerate(numbers)]
    known = [each for own in ids for each in own] + ["another"]
    said = data.draw(st.lists(st.sampled_from(known), max_size=20))
    decision = pl.DataFrame({"id": pl.Series(said, dtype=pl.String), "number": range(len(said))})
    summaries, facts = tables(ids)
    pieces = divided(Named(), decision, summaries, facts)
    assert pieces.tables[0].equals(decision.clear())
    for number, own in enumerate(ids):
        found = pieces.tables[pieces.numbers.get(str(number), 0)]
        assert found.equals(decision.filter(pl.col("id").is_in(own)))


def test_what_is_said_of_no_row_is_for_all() -> None:
    summaries, facts = tables([["a"], ["b"]])
    decision = pl.DataFrame({"id": ["a"], "edge": [3]})
    assert divided(Threshold(), decision, summaries, facts).numbers == {}
    assert divided(Placed(), decision, summaries, facts).numbers == {"0": 1}
    without = summaries.rename({"id": "name"})
    whole = divided(Named(), decision, without, facts)
    assert whole.tables[0].equals(decision)
