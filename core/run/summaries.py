"""Summaries of rows whose text was summarized before."""

from __future__ import annotations

import polars as pl

from datachef.core.accounting import frame_of
from datachef.core.corpus import CorpusOperator
from datachef.core.run.chain import ROW, Step
from datachef.core.run.keys import key_of
from datachef.core.run.text_memory import TextMemory


def summarized(step: Step, rows: pl.DataFrame, texts: TextMemory | None) -> pl.DataFrame:
    """The summary of the rows by the operator of a step; of texts that are known, as it was.

    That is possible for an operator that reads nothing but `text` and gives a row for every row.
    """
    operator = step.operator
    assert isinstance(operator, CorpusOperator)
    if texts is None or operator.reads() != {"text"}:
        return _summarize(operator, rows)
    key = key_of("summary", step.identity)
    numbers = pl.int_range(rows.height, dtype=pl.UInt32, eager=True).alias(ROW)
    index = pl.DataFrame([numbers, rows["text"]])
    known = texts.recall(key, index)
    missing = numbers if known is None else numbers.filter(~numbers.is_in(known[ROW].implode()))
    if len(missing) == 0 and known is not None:
        found = known
    else:
        fresh = _summarize(operator, rows[missing])
        if fresh.columns[:1] != ["id"] or not fresh["id"].equals(rows["id"][missing]):
            return _summarize(operator, rows)
        fresh = missing.to_frame().hstack(fresh.drop("id"))
        texts.remember(key, index, fresh)
        found = fresh if known is None else pl.concat([known, fresh])
    return rows.select("id").hstack(found.sort(ROW).drop(ROW))


def _summarize(operator: CorpusOperator, rows: pl.DataFrame) -> pl.DataFrame:
    return frame_of(operator.summarize(rows.clone()), "summarize()")
