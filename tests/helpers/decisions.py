"""What an operator decides on a corpus."""

from __future__ import annotations

import polars as pl

from datachef.core import Context
from datachef.core.contracts.corpus import CorpusOperator

CONTEXT = Context(seed=0)


def decision_on(
    operator: CorpusOperator, summaries: pl.DataFrame, context: Context = CONTEXT
) -> pl.DataFrame:
    """The decision from all summaries, which may be lazy, as a table."""
    return operator.resolve(summaries.lazy(), context).lazy().collect()
