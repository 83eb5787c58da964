"""Gates: what a recipe must pass before a prediction about it means anything.

Each says how far a recipe came, so that one that fails later, or by less, is worth more: learning
from failures needs a slope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from datachef.core.contracts.filter import Filter
from datachef.core.contracts.task import Budget, Task
from datachef.core.errors import Problem
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.rows.stored_conversations import unfit
from datachef.core.run.signals import decide, measure
from datachef.reward.sampled_run import SampledCorpus
from datachef.reward.text_measures import TextCache

GATES = (
    "check", "runs", "not_empty", "enough_rows", "format", "repetition", "contamination", "budget",
    "guardrails",
)  # fmt: skip

# Fewer different rows than this teach nothing but themselves.
ENOUGH_ROWS = 50
# Beyond about this many epochs, repeating data adds next to nothing (Muennighoff et al. 2023,
# https://arxiv.org/abs/2305.16264).
MOST_EPOCHS = 16.0
MOST_MALFORMED = 0.01
MOST_CONTAMINATED = 0.001
BUDGET_SLACK = 1.05


@dataclass(frozen=True)
class GateFailure:
    """The gate that stopped a recipe, how far it came in [0, 1), and the reasons in words."""

    gate: str
    degree: float
    reasons: tuple[str, ...]

    @property
    def value(self) -> float:
        """In [-2, -1): higher for a later gate, and for a gate that was failed by less.

        Gates of plugins come last, in the upper half of the last place, which guardrails leave
        free: values of our own gates are the same whatever is installed.
        """
        degree = min(max(self.degree, 0.0), 0.999)
        if self.gate in GATES:
            return (GATES.index(self.gate) + degree) / len(GATES) - 2
        return (len(GATES) - 0.5 + degree / 2) / len(GATES) - 2


def failed_check(problems: Sequence[Problem]) -> GateFailure:
    """A recipe that `chef check` refuses: the fewer problems the better."""
    return GateFailure(
        "check", 1 / (1 + len(problems)), tuple(str(problem) for problem in problems)
    )


def failed_run(message: str) -> GateFailure:
    """A recipe that does not run on the sample."""
    return GateFailure("runs", 0.0, (message,))


def first_failure(
    corpus: SampledCorpus, budget: Budget | None, contaminated: float
) -> GateFailure | None:
    """The first gate that a sampled corpus fails; `contaminated` is the share of its rows that hold
    items of the benchmark."""
    return next(_failures(corpus, budget, contaminated), None)


def _failures(
    corpus: SampledCorpus, budget: Budget | None, contaminated: float
) -> Iterator[GateFailure]:
    rows = corpus.rows
    if rows.height == 0:
        entries = list(corpus.ledger)
        alive = sum(entry.rows_out > 0 for entry in entries)
        where = next((e for e in entries if e.rows_in > 0 and e.rows_out == 0), None)
        blame = f": {where.path} ({where.op}) lets nothing through" if where else ""
        yield GateFailure("not_empty", alive / (len(entries) + 1), (f"no row is left{blame}",))
        return
    different = distinct_rows(corpus)
    if different < ENOUGH_ROWS:
        reason = f"about {different:.0f} different rows; at least {ENOUGH_ROWS} are needed"
        yield GateFailure("enough_rows", different / ENOUGH_ROWS, (reason,))
    malformed = malformed_share(corpus)
    if malformed > MOST_MALFORMED:
        reason = f"{malformed:.1%} of the rows do not fit {corpus.schema}, or have no answer"
        yield GateFailure("format", 1 - malformed, (reason,))
    for name, source in corpus.sources.items():
        if source.epochs > MOST_EPOCHS:
            reason = f"{name} is taken {source.epochs:.0f} times; {MOST_EPOCHS:.0f} is the most"
            yield GateFailure("repetition", MOST_EPOCHS / source.epochs, (reason,))
    if contaminated > MOST_CONTAMINATED:
        reason = f"{contaminated:.1%} of the rows hold items of the benchmark"
        yield GateFailure("contamination", 1 - contaminated, (reason,))
    if budget is not None:
        unit = "tokens" if budget.tokens is not None else "rows"
        allowed = budget.tokens or budget.rows or 0
        size = (
            rows["tokens"] if budget.tokens is not None else pl.repeat(1, rows.height, eager=True)
        )
        made = float((rows["weight"] * size).sum())
        if made > BUDGET_SLACK * allowed:
            reason = f"about {made:,.0f} {unit}; the task allows {allowed:,}"
            yield GateFailure("budget", allowed / made, (reason,))


def distinct_rows(corpus: SampledCorpus) -> float:
    """About how many different texts the whole corpus has."""
    table = corpus.rows.select("text", corpus.unique_weights().alias("unique"))
    return float(table.group_by("text").agg(pl.col("unique").max())["unique"].sum())


def malformed_share(corpus: SampledCorpus) -> float:
    """The share of rows, by weight, that cannot be trained on in the schema of the output."""
    rows = corpus.rows
    blank = ~rows["text"].str.contains(r"\S")
    bad = blank | unfit(rows, corpus.schema).is_not_null()
    return float(rows["weight"].filter(bad).sum()) / float(rows["weight"].sum())


class ContaminationAudit:
    """Runs the vocabulary's guards, as they are by default, on the rows of corpora.

    A recipe may configure a guard so that it sees nothing; these it cannot configure.
    """

    def __init__(self, vocabulary: Vocabulary, task: Task) -> None:
        guards = [vocabulary[name] for name in vocabulary if vocabulary[name].guards_task]
        ready = [guard(op=guard.name()).for_task(task) for guard in guards]
        self._guards = [guard for guard in ready if isinstance(guard, Filter) and guard.files()]
        self._cache = TextCache(self._verdicts)

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
        indices = self._cache.indices(texts.to_frame("text"))
        return ~pl.concat(self._cache.chunks).gather(pl.Series(indices))

    def _verdicts(self, texts: pl.DataFrame) -> pl.Series:
        dropped = pl.repeat(False, texts.height, dtype=pl.Boolean, eager=True)
        for guard in self._guards:
            reasons = decide(guard, texts.hstack(measure(guard, texts)))
            dropped = dropped | reasons.is_not_null()
        return dropped
