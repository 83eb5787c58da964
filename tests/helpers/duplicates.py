"""Texts as rows, and what an operator that looks for duplicates decides on them.

All rows are one batch here; that it does not matter how they are cut, tests show themselves.
"""

from __future__ import annotations

import polars as pl
from decisions import decision_on

from datachef.core import Outcome
from datachef.core.contracts.corpus import CorpusOperator


def rows(*texts: str | None) -> pl.DataFrame:
    """Rows of one source, whose ids are their places."""
    ids = [str(i) for i in range(len(texts))]
    columns = {"id": ids, "source": ["s"] * len(texts), "text": texts}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def decided(operator: CorpusOperator, batch: pl.DataFrame) -> pl.DataFrame:
    """The decision on all rows, of which nothing is told but their summaries."""
    return decision_on(operator, operator.summarize(batch))


def outcome(operator: CorpusOperator, batch: pl.DataFrame) -> Outcome:
    """What becomes of the rows."""
    return operator.apply(batch, decided(operator, batch))


def dropped(operator: CorpusOperator, batch: pl.DataFrame) -> list[str]:
    """The ids of the rows that are dropped."""
    return decided(operator, batch)["id"].to_list()


def copies(operator: CorpusOperator, batch: pl.DataFrame) -> dict[str, str]:
    """What is told of each row that is dropped, by its id."""
    return dict(decided(operator, batch).select("id", "detail").iter_rows())
