"""Rows of a corpus put before exact checkers and judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from datachef.core.benchmark import BenchmarkItem, read_benchmark
from datachef.core.errors import DatachefError
from datachef.core.sampling import priority
from datachef.core.services import Services
from datachef.core.task import Task
from datachef.reward.metrics.unit_tests import AllowCode
from datachef.reward.verifier.agreement import agreement, kappa
from datachef.reward.verifier.checkers import exact_checkers
from datachef.reward.verifier.judge import Judge
from datachef.reward.verifier.question import EXAMPLES, Question
from datachef.reward.verifier.row import Row, RowChecker
from datachef.reward.verifier.sampling import draw, estimate
from datachef.reward.verifier.verdict import KLASSES, Klass, RowOpinion, Verdict, Verification

ROWS = 100

_COLUMNS = ("id", "source", "text", "messages", "weight")


class Verifier:
    """Tells how good the rows of corpora are for one task.

    Each sampled row goes to the exact checkers; the first that can tell decides. What none can tell
    goes to every judge. Answers are remembered by the clients of `services`, so that rows that were
    judged before cost nothing.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        services: Services,
        task: Task,
        *,
        rows: int = ROWS,
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
        self._question = Question(task, examples[:EXAMPLES])
        self._checkers = (
            exact_checkers(task, examples, allow_code=allow_code) if checkers is None else checkers
        )

    def verify(self, rows: pl.DataFrame) -> Verification:
        """What a sample of rows says of all of them.

        Takes `id`, `source`, `text` (all text), `messages` where there are conversations, and
        `weight`: how much a row stands for. Raises `DatachefError` where a backend cannot be used
        at all, such as one that is not told its server; what was answered until then is kept.
        """
        columns = [name for name in _COLUMNS if name in rows.columns]
        strata = draw(rows.select(columns), self._rows, self._seed)
        said = self._opinions(
            [Row.of(data) for part in strata for data in part.rows.iter_rows(named=True)]
        )
        values: dict[str, list[float]] = {part.source: [] for part in strata}
        for row in said:
            values[row.source].append(row.value)
        result = estimate(strata, values)
        opinions = [opinion for row in said for opinion in row.opinions]
        classes = Counter(o.klass for o in opinions if isinstance(o, Verdict))
        pairs = list(_pairs(said))
        return Verification(
            value=result.mean,
            standard_error=result.standard_error,
            counts={klass: classes[klass] for klass in KLASSES},
            failures=len(opinions) - classes.total(),
            agreement=agreement(pairs),
            kappa=kappa(pairs),
            by_source={name: (mean, len(values[name])) for name, mean in result.by_source.items()},
            rows=tuple(said),
        )

    def _opinions(self, rows: Sequence[Row]) -> list[RowOpinion]:
        exact = [self._exact(row) for row in rows]
        unsure = [row for row, verdict in zip(rows, exact, strict=True) if verdict is None]
        judged = [
            judge.verdicts(
                client, [self._question.about(row, judge.max_row_chars) for row in unsure]
            )
            for judge, client in self._judges
        ]
        asked = iter(zip(*judged, strict=True))
        return [
            RowOpinion(row.id, row.source, next(asked), exact=False)
            if verdict is None
            else RowOpinion(row.id, row.source, (verdict,) * len(self._judges), exact=True)
            for row, verdict in zip(rows, exact, strict=True)
        ]

    def _exact(self, row: Row) -> Verdict | None:
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
    order = priority(pl.Series([item.prompt for item in items], dtype=pl.String), seed).to_list()
    return [items[place] for place in sorted(range(len(items)), key=order.__getitem__)]


def _pairs(rows: Iterable[RowOpinion]) -> Iterator[tuple[Klass, Klass]]:
    """The classes of the rows that two judges judged."""
    for row in rows:
        match row.opinions:
            case (Verdict(klass=one), Verdict(klass=other)) if not row.exact:
                yield one, other
