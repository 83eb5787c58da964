"""Gates: what a recipe must pass before a prediction about it means anything.

Each says how far a recipe came, so that one that fails later, or by less, is worth more: learning
from failures needs a slope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from datachef.core.contracts.task import Budget
from datachef.core.problems import Problem
from datachef.core.rows.stored_conversations import unfit
from datachef.reward.features.content import unique_weight
from datachef.reward.sample.kitchen import SampledCorpus

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
class Failure:
    """The gate at which a recipe stopped, how far it came in [0, 1) and what to do about it."""

    gate: str
    degree: float
    reasons: tuple[str, ...]

    @property
    def value(self) -> float:
        """In [-2, -1): higher for a later gate, and for a gate that was failed by less."""
        place = GATES.index(self.gate) + min(max(self.degree, 0.0), 0.999)
        return place / len(GATES) - 2


def failed_check(problems: Sequence[Problem]) -> Failure:
    """A recipe that `chef check` refuses: the fewer problems the better."""
    return Failure("check", 1 / (1 + len(problems)), tuple(str(problem) for problem in problems))


def failed_run(message: str) -> Failure:
    """A recipe that does not run on the sample."""
    return Failure("runs", 0.0, (message,))


def first_failure(
    corpus: SampledCorpus, budget: Budget | None, contaminated: float
) -> Failure | None:
    """The first gate that a cooked sample fails; `contaminated` is the share of its rows that hold
    items of the benchmark."""
    return next(_failures(corpus, budget, contaminated), None)


def _failures(
    corpus: SampledCorpus, budget: Budget | None, contaminated: float
) -> Iterator[Failure]:
    rows = corpus.rows
    if rows.height == 0:
        entries = list(corpus.ledger)
        alive = sum(entry.rows_out > 0 for entry in entries)
        where = next((e for e in entries if e.rows_in > 0 and e.rows_out == 0), None)
        blame = f": {where.path} ({where.op}) lets nothing through" if where else ""
        yield Failure("not_empty", alive / (len(entries) + 1), (f"no row is left{blame}",))
        return
    different = distinct_rows(corpus)
    if different < ENOUGH_ROWS:
        reason = f"about {different:.0f} different rows; at least {ENOUGH_ROWS} are needed"
        yield Failure("enough_rows", different / ENOUGH_ROWS, (reason,))
    malformed = malformed_share(corpus)
    if malformed > MOST_MALFORMED:
        reason = f"{malformed:.1%} of the rows do not fit {corpus.schema}, or have no answer"
        yield Failure("format", 1 - malformed, (reason,))
    for name, source in corpus.sources.items():
        if source.epochs > MOST_EPOCHS:
            reason = f"{name} is taken {source.epochs:.0f} times; {MOST_EPOCHS:.0f} is the most"
            yield Failure("repetition", MOST_EPOCHS / source.epochs, (reason,))
    if contaminated > MOST_CONTAMINATED:
        reason = f"{contaminated:.1%} of the rows hold items of the benchmark"
        yield Failure("contamination", 1 - contaminated, (reason,))
    if budget is not None:
        unit = "tokens" if budget.tokens is not None else "rows"
        allowed = budget.tokens or budget.rows or 0
        size = (
            rows["tokens"] if budget.tokens is not None else pl.repeat(1, rows.height, eager=True)
        )
        made = float((rows["weight"] * size).sum())
        if made > BUDGET_SLACK * allowed:
            reason = f"about {made:,.0f} {unit}; the task allows {allowed:,}"
            yield Failure("budget", allowed / made, (reason,))


def distinct_rows(corpus: SampledCorpus) -> float:
    """About how many different texts the whole corpus has."""
    table = corpus.rows.select("text", unique_weight(corpus).alias("unique"))
    return float(table.group_by("text").agg(pl.col("unique").max())["unique"].sum())


def malformed_share(corpus: SampledCorpus) -> float:
    """The share of rows, by weight, that cannot be trained on in the schema of the output."""
    rows = corpus.rows
    blank = ~rows["text"].str.contains(r"\S")
    bad = blank | unfit(rows, corpus.schema).is_not_null()
    return float(rows["weight"].filter(bad).sum()) / float(rows["weight"].sum())
