"""How much of a corpus holds items of the benchmark, whatever the recipe says it guards."""

from __future__ import annotations

import polars as pl

from datachef.core.contracts.filter import Filter
from datachef.core.contracts.task import Task
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.run.signals import decide, measure
from datachef.reward.features.bank import Bank


class ContaminationAudit:
    """Runs the vocabulary's guards, as they are by default, on the rows of corpora.

    A recipe may configure a guard so that it sees nothing; these it cannot configure.
    """

    def __init__(self, vocabulary: Vocabulary, task: Task) -> None:
        guards = [vocabulary[name] for name in vocabulary if vocabulary[name].guards_task]
        ready = [guard(op=guard.name()).for_task(task) for guard in guards]
        self._guards = [guard for guard in ready if isinstance(guard, Filter) and guard.files()]
        self._bank = Bank(self._verdicts)

    def share(self, rows: pl.DataFrame) -> float:
        """The share of rows, by weight, that any guard would drop."""
        if not self._guards or rows.height == 0:
            return 0.0
        weight = rows["weight"].to_numpy()
        return float(weight[~self.clean(rows["text"]).to_numpy()].sum() / weight.sum())

    def clean(self, texts: pl.Series) -> pl.Series:
        """Whether each text is free of items of the benchmark."""
        if not self._guards or texts.len() == 0:
            return pl.repeat(True, texts.len(), dtype=pl.Boolean, eager=True)
        places = self._bank.places(texts.to_frame("text"))
        return ~pl.concat(self._bank.chunks).gather(pl.Series(places))

    def _verdicts(self, texts: pl.DataFrame) -> pl.Series:
        dropped = pl.repeat(False, texts.height, dtype=pl.Boolean, eager=True)
        for guard in self._guards:
            reasons = decide(guard, texts.hstack(measure(guard, texts)))
            dropped = dropped | reasons.is_not_null()
        return dropped
