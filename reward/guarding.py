"""Guardrails on cooked samples, with what is known of a text remembered."""

from __future__ import annotations

import polars as pl

from datachef.core.rows.columns import concat
from datachef.reward.features.bank import Bank
from datachef.reward.features.measure import source_shares
from datachef.reward.guardrails import Findings, Guardrails, Limits
from datachef.reward.guardrails.measures import text_measures
from datachef.reward.sample.kitchen import SampledCorpus


class SampleGuard:
    """Inspects what recipes make of samples."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._guardrails = Guardrails(limits)
        self._bank = Bank(lambda texts: text_measures(texts["text"]))

    def inspect(self, corpus: SampledCorpus) -> Findings:
        """The measures of the corpus and the limits that it breaks.

        How often the mix takes a row counts before and after, so that retention tells what the
        steps keep, and not how large the budget is.
        """
        before = [
            source.read.with_columns(pl.lit(source.epochs / source.stock.rate).alias("weight"))
            for source in corpus.sources.values()
        ]
        return self._guardrails.inspect(
            self._measured(concat(before)),
            self._measured(corpus.rows),
            licences={name: source.licence for name, source in corpus.sources.items()},
            shares=source_shares(corpus),
        )

    def _measured(self, rows: pl.DataFrame) -> pl.DataFrame:
        places = self._bank.places(rows.select("text"))
        known = pl.concat(self._bank.chunks)[places.tolist()]
        return rows.drop(known.columns, strict=False).hstack(known)
