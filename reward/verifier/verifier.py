"""Grades a sample of the rows of a corpus, with exact checkers and judges."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt

import polars as pl

from datachef.core.contracts.metric import AllowCode, BenchmarkItem
from datachef.core.contracts.operator import Services
from datachef.core.contracts.row_selection import sampling_priority
from datachef.core.contracts.task import Task
from datachef.core.errors import DatachefError
from datachef.core.rows.benchmark import read_benchmark
from datachef.reward.config import RewardOptions
from datachef.reward.verifier.checkers import exact_checkers
from datachef.reward.verifier.judge import (
    EXAMPLES,
    ROW_GRADES,
    GradedRow,
    Judge,
    JudgePrompt,
    RowChecker,
    RowGrade,
    SampledRow,
    Verdict,
    Verification,
)

JUDGED_ROWS: int = RewardOptions.model_fields["judged_rows"].default
# The variance of a coin: no value between 0 and 1 varies more.
LARGEST_VARIANCE = 0.25

_COLUMNS = ("id", "source", "text", "messages", "weight")


class Verifier:
    """Estimates how good the rows of a corpus are for one task.

    Each sampled row goes to the exact checkers; the first that can tell decides. A row that none of
    them can tell goes to every judge. The clients of `services` cache answers, so a row that was
    judged before costs nothing.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        services: Services,
        task: Task,
        *,
        rows: int = JUDGED_ROWS,
        seed: int = 0,
        checkers: Sequence[RowChecker] | None = None,
        allow_code: AllowCode = False,
    ) -> None:
        """One judge, or two that differ. `rows` are sampled, drawn by `seed`.

        `checkers` stand in the place of those that fit the task; `allow_code` lets these run code
        of rows against unit tests.
        Raises `DatachefError` for other judges, backends that are not registered, and examples of
        the task that cannot be read.
        """
        _refuse_unfit(judges)
        self._rows = rows
        self._seed = seed
        examples = _examples(task, seed)
        self._judges = [(judge, services.llm(judge.backend)) for judge in judges]
        self._prompt = JudgePrompt(task, examples[:EXAMPLES])
        self._checkers = (
            exact_checkers(task, examples, allow_code=allow_code) if checkers is None else checkers
        )

    def verify(self, rows: pl.DataFrame) -> Verification:
        """Grades a sample of the rows and estimates the mean grade of all.

        Takes `id`, `source`, `text` (all text), `messages` where there are conversations, and
        `weight`: how much a row stands for. Raises `DatachefError` where a backend cannot be used
        at all, such as one without an address of its server; answers until then are kept.
        """
        columns = [name for name in _COLUMNS if name in rows.columns]
        strata = draw(rows.select(columns), self._rows, self._seed)
        graded = self._graded(
            [SampledRow.of(data) for part in strata for data in part.rows.iter_rows(named=True)]
        )
        values: dict[str, list[float]] = {part.source: [] for part in strata}
        for row in graded:
            values[row.source].append(row.value)
        result = estimate(strata, values)
        verdicts = [verdict for row in graded for verdict in row.verdicts]
        grades = Counter(v.grade for v in verdicts if isinstance(v, Verdict))
        pairs = list(_pairs(graded))
        return Verification(
            value=result.mean,
            standard_error=result.standard_error,
            counts={grade: grades[grade] for grade in ROW_GRADES},
            failures=len(verdicts) - grades.total(),
            agreement=agreement(pairs),
            kappa=kappa(pairs),
            by_source={name: (mean, len(values[name])) for name, mean in result.by_source.items()},
            rows=tuple(graded),
        )

    def _graded(self, rows: Sequence[SampledRow]) -> list[GradedRow]:
        exact = [self._exact(row) for row in rows]
        unsure = [row for row, verdict in zip(rows, exact, strict=True) if verdict is None]
        judged = [
            judge.verdicts(client, [self._prompt.about(row, judge.max_row_chars) for row in unsure])
            for judge, client in self._judges
        ]
        asked = iter(zip(*judged, strict=True))
        return [
            GradedRow(row.id, row.source, next(asked), exact=False)
            if verdict is None
            else GradedRow(row.id, row.source, (verdict,) * len(self._judges), exact=True)
            for row, verdict in zip(rows, exact, strict=True)
        ]

    def _exact(self, row: SampledRow) -> Verdict | None:
        verdicts = (checker.check(row) for checker in self._checkers)
        return next((verdict for verdict in verdicts if verdict is not None), None)


def _refuse_unfit(judges: Sequence[Judge]) -> None:
    if len(judges) not in (1, 2):
        raise DatachefError(f"{len(judges)} judges", hint="give one judge, or two")
    if len(set(judges)) < len(judges):
        raise DatachefError("two judges are the same", hint="give them different models or seeds")


def _examples(task: Task, seed: int) -> list[BenchmarkItem]:
    """The examples of a task that have answers, in an order that the seed draws."""
    if task.examples is None:
        return []
    items = [item for item in read_benchmark(task.examples) if item.answer.strip()]
    order = sampling_priority(
        pl.Series([item.prompt for item in items], dtype=pl.String), seed
    ).to_list()
    return [items[place] for place in sorted(range(len(items)), key=order.__getitem__)]


def _pairs(rows: Iterable[GradedRow]) -> Iterator[tuple[RowGrade, RowGrade]]:
    """The grades of the rows that two judges graded."""
    for row in rows:
        match row.verdicts:
            case (Verdict(grade=one), Verdict(grade=other)) if not row.exact:
                yield one, other


@dataclass(frozen=True)
class Stratum:
    """One source: `rows` of it were drawn from `size`; `share` is its part of the whole weight."""

    source: str
    share: float
    size: int
    rows: pl.DataFrame


def draw(rows: pl.DataFrame, count: int, seed: int) -> list[Stratum]:
    """Draws `count` rows, stratified by `source` and sorted by it.

    Takes `id`, `source` and `weight`; rows that weigh nothing are left out. A source gets rows in
    proportion to its weight, but at least one (then they may be more than `count`) and at most as
    many as it has. Which ones depends on the seed and their ids alone, so that two recipes that
    keep the same rows are judged on the same ones.
    """
    rows = rows if rows.is_empty() else rows.filter(pl.col("weight") > 0)
    if rows.is_empty():
        return []
    order = sampling_priority(rows["id"], seed).alias("order")
    ordered = rows.with_columns(order).sort("order", "id").drop("order")
    groups = {str(key[0]): part for key, part in ordered.group_by("source", maintain_order=True)}
    weights = {name: float(groups[name]["weight"].sum()) for name in sorted(groups)}
    whole = sum(weights.values())
    sizes = {name: groups[name].height for name in weights}
    quotas = _allot(weights, sizes, count)
    return [
        Stratum(name, weights[name] / whole, sizes[name], groups[name].head(quotas[name]))
        for name in weights
    ]


def _allot(weights: Mapping[str, float], sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many rows each source gives: the Sainte-Laguë method, beginning with one for each."""
    quotas = dict.fromkeys(weights, 1)
    waiting = [(-weights[name] / 3, name) for name in weights if sizes[name] > 1]
    heapq.heapify(waiting)
    for _ in range(count - len(quotas)):
        if not waiting:
            break
        _, name = heapq.heappop(waiting)
        quotas[name] += 1
        if quotas[name] < sizes[name]:
            heapq.heappush(waiting, (-weights[name] / (2 * quotas[name] + 1), name))
    return quotas


@dataclass(frozen=True)
class StratifiedEstimate:
    """A mean over all rows, estimated from those that were drawn; 0 without any rows."""

    mean: float
    standard_error: float
    by_source: Mapping[str, float]


def estimate(
    strata: Iterable[Stratum], values: Mapping[str, Sequence[float]]
) -> StratifiedEstimate:
    """The mean by weight of values in [0, 1], given for each source in the order of its rows.

    With W the share of a source, n of its N rows drawn, w their weights and y their values:

        mean = sum of W m                      m = sum(w y) / sum(w)
        standard error^2 = sum of W^2 (1 - n/N) v
        v = n / (n - 1) * sum(w^2 (y - m)^2) / sum(w)^2

    where v is s^2/n when all rows of a source weigh the same (Cochran, Sampling Techniques, 1977,
    chapters 5 and 6). From one row of several no variance can be estimated: the largest possible
    one is taken.
    """
    mean = variance = 0.0
    by_source = {}
    for stratum in strata:
        weights = stratum.rows["weight"].to_list()
        drawn = list(zip(weights, values[stratum.source], strict=True))
        total, count = sum(weights), len(drawn)
        own = sum(weight * value for weight, value in drawn) / total
        if count == 1:
            spread = LARGEST_VARIANCE
        else:
            squares = sum((weight * (value - own)) ** 2 for weight, value in drawn)
            spread = count / (count - 1) * squares / total**2
        mean += stratum.share * own
        variance += stratum.share**2 * (1 - count / stratum.size) * spread
        by_source[stratum.source] = own
    mean = min(mean, 1.0)  # shares may add up to 1 + 1e-16
    return StratifiedEstimate(mean, sqrt(variance), by_source)


def agreement(pairs: Sequence[tuple[RowGrade, RowGrade]]) -> float | None:
    """The share of rows that two judges gave the same grade; None without rows."""
    return float(_same(pairs)) if pairs else None


def kappa(pairs: Sequence[tuple[RowGrade, RowGrade]]) -> float | None:
    """Cohen's kappa: the agreement beyond chance, over the most that could be beyond it.

    (p - e) / (1 - e), where e is the agreement of two judges who use the grades as often as these
    do, but at random (Cohen 1960, https://doi.org/10.1177/001316446002000104). None without rows,
    and where both gave all rows one grade: then there is nothing beyond chance.
    """
    if not pairs:
        return None
    one, other = (Counter(side) for side in zip(*pairs, strict=True))
    chance = Fraction(sum(one[grade] * other[grade] for grade in one), len(pairs) ** 2)
    return None if chance == 1 else float((_same(pairs) - chance) / (1 - chance))


def _same(pairs: Sequence[tuple[RowGrade, RowGrade]]) -> Fraction:
    return Fraction(sum(one == other for one, other in pairs), len(pairs))
