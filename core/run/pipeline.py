"""Runs batches through the row-wise steps of a stage; a row that breaks a step fails alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import polars as pl

from datachef.core.contracts.accounting import outcome_of, parents
from datachef.core.contracts.corpus import CorpusOperator
from datachef.core.contracts.filter import DISPLACED
from datachef.core.contracts.operator import Outcome
from datachef.core.contracts.transform import Transform
from datachef.core.errors import (
    MAX_ROW_BYTES,
    ROW_TOO_LARGE,
    DatachefError,
    PluginError,
    is_panic,
    panicked,
    words_of,
)
from datachef.core.rows.columns import concat
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.run.observations import Observations
from datachef.core.run.signals import (
    Intermediates,
    SignalMemory,
    decide,
    deciding,
    details,
    measure,
    refuse_neighbours,
    some_rows,
    unlike,
)
from datachef.core.run.steps import ROW, AnyStep, FilterStep, groups
from datachef.core.run.time_limit import NO_LIMIT, TIME_LIMIT, Call, TimeLimit
from datachef.core.system.child_process import ACTIVITY
from datachef.core.system.containment import ENDINGS, is_interrupt
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.conversations import with_stored_turns

OUR_OPERATORS = "datachef.operators."
# Called with the path of a step, "dropped" or "failed", the rows with their reasons, and, where a
# filter dropped them, what tells the signals that decided: not every run asks.
OnRejected = Callable[[str, str, pl.DataFrame, Callable[[], pl.Series] | None], None]


class StepPipeline:
    """The row-wise steps of a stage; `ledger` counts the rows that stay, go and fail, and
    `observations` takes what people may want to look at."""

    def __init__(
        self,
        steps: Sequence[AnyStep],
        signals: SignalMemory,
        on_rejected: OnRejected,
        limit: TimeLimit = NO_LIMIT,
        observations: Observations | None = None,
    ) -> None:
        self.groups = groups(steps)
        self._observations = observations
        self.ledger = Ledger(Entry(step.path, step.operator.op) for step in steps)
        self._signals = signals
        self._limit = limit
        self._on_rejected = on_rejected
        # of each filter the names of kept signals that may stand for a column of the source
        self._displaced: dict[str, set[str]] = {}
        kept: set[str] = set()
        for step in steps:
            self._displaced[step.path] = set(step.operator.writes()) - kept
            kept |= set(step.operator.writes())
        self._arrived = [0] * len(self.groups)
        # steps that were seen to treat rows without looking at other rows
        self._tried: set[str] = set()

    def run(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The rows of the batch that pass all steps."""
        for index, group in enumerate(self.groups):
            if isinstance(group, list):
                batch = self._filter(index, group, batch)
            else:
                batch = self._step(group, batch)
        return batch

    def _step(self, step: AnyStep, batch: pl.DataFrame) -> pl.DataFrame:
        started = time.perf_counter()
        with step.located():
            if step.operator.paid and batch.height:
                outcomes, broken = [_process(step, batch)], list[Broken]()
            else:
                outcomes, broken = safely(
                    batch,
                    lambda part, _: _process(step, part),
                    self._limit,
                    step,
                    slow=not isinstance(step.operator, CorpusOperator),
                )
            if len(outcomes) == 1 and self._is_to_be_tried(step, batch):
                _refuse_neighbours(step, batch, outcomes[0].rows)
        parts = [batch.clear()] if not outcomes else []
        for outcome in outcomes:
            for kind, rows in (("dropped", outcome.dropped), ("failed", outcome.failed)):
                self._reject(step, kind, _without_own_detail(rows, batch))
            self.ledger[step.path].created += outcome.created
            self.ledger[step.path].counted.update(outcome.counted)
            self.ledger[step.path].effort.update(outcome.effort)
            rows = with_stored_turns(outcome.rows)
            large = rows["text"].str.len_bytes().fill_null(0) > MAX_ROW_BYTES
            if large.any():
                reason = pl.lit(ROW_TOO_LARGE).alias("reason")
                self._reject(step, "failed", rows.filter(large).with_columns(reason))
                rows = rows.filter(~large)
            parts.append(rows)
        self._reject(step, "failed", broken_rows(batch, broken))
        rows = concat(parts)
        if self._observations is not None and isinstance(step.operator, Transform):
            self._observations.rewritten(step, batch, rows)
        self._passed(step, batch.height, rows.height, started)
        return rows

    def _filter(self, index: int, group: list[FilterStep], rows: pl.DataFrame) -> pl.DataFrame:
        """Each filter measures what those before it let through, and shares what they computed."""
        first = self._arrived[index]
        numbers = pl.int_range(first, first + rows.height, dtype=pl.UInt32, eager=True).alias(ROW)
        self._arrived[index] += rows.height
        shared = Intermediates()
        for place, step in enumerate(group):
            started = time.perf_counter()
            height = rows.height
            operator = step.operator
            with step.located():
                signals, broken = self._signals_of((index, place), step, rows, numbers, shared)
            if broken:
                fine = self._without(step, rows, broken, shared)
                rows, numbers = rows.filter(fine), numbers.filter(fine)
            with step.located():
                reasons, broken = self._decided(step, rows.with_columns(signals))
            if broken:
                fine = self._without(step, rows, broken, shared)
                rows, numbers = rows.filter(fine), numbers.filter(fine)
                signals = signals.filter(fine)
            reason = pl.concat(reasons) if reasons else pl.Series("reason", [], pl.String)
            if self._is_to_be_tried(step, rows):
                with step.located():
                    refuse_neighbours(operator, rows, signals, reason)
            if self._observations is not None:
                self._observations.decided(step, rows.with_columns(signals), reason)
            rejects = reason.is_not_null()
            told = partial(deciding, operator, rows, signals, reason)
            if operator.keep_signals:
                displaced = self._displaced[step.path] & set(rows.columns)
                rows = rows.rename({name: f"{DISPLACED}{name}" for name in displaced})
                rows = rows.with_columns(signals)
            if rejects.any():
                dropped = rows.with_columns(reason).filter(rejects)
                with step.located():
                    detail = details(operator, dropped)
                self._reject(step, "dropped", dropped.with_columns(detail), told)
                rows, numbers = rows.filter(~rejects), numbers.filter(~rejects)
                shared.keep(~rejects)
            self._passed(step, height, rows.height, started)
        return rows

    def _is_to_be_tried(self, step: AnyStep, rows: pl.DataFrame) -> bool:
        """Whether a step might look at other rows, and has enough of them to show it.

        Our own are held to it by tests: it takes a tenth of their time. A model's answers are not
        asked for again.
        """
        operator = step.operator
        ours = type(operator).__module__.startswith(OUR_OPERATORS)
        if ours or operator.paid or rows.height < 2 or step.path in self._tried:
            return False
        self._tried.add(step.path)
        return True

    def _without(
        self, step: AnyStep, rows: pl.DataFrame, broken: Sequence[Broken], shared: Intermediates
    ) -> pl.Series:
        """Which rows do not break the step; the others have failed."""
        fine = ~pl.int_range(rows.height, eager=True).is_in([at for at, _, _ in broken])
        self._reject(step, "failed", broken_rows(rows, broken))
        shared.keep(fine)
        return fine

    def _signals_of(
        self,
        key: tuple[int, int],
        step: FilterStep,
        rows: pl.DataFrame,
        numbers: pl.Series,
        shared: Intermediates,
    ) -> tuple[pl.DataFrame, list[Broken]]:
        """The signals of all rows that can be measured; and the rows that cannot be."""
        index = pl.DataFrame([numbers, rows["text"]])
        known = self._signals.recall(*key, index)
        if known is None:
            fresh, broken = self._measured(step, rows, numbers, shared)
        else:
            missing = ~numbers.is_in(known[ROW].implode())
            if not missing.any():
                return known.drop(ROW), []
            fresh, broken = self._measured(
                step, rows.filter(missing), numbers.filter(missing), None
            )
            places = missing.arg_true()
            broken = [Broken(places[at], reason, detail) for at, reason, detail in broken]
        self._signals.remember(*key, index, fresh)
        table = fresh if known is None else pl.concat([known, fresh]).sort(ROW)
        return table.drop(ROW), broken

    def _measured(
        self, step: FilterStep, rows: pl.DataFrame, numbers: pl.Series, shared: Intermediates | None
    ) -> tuple[pl.DataFrame, list[Broken]]:
        """`ROW` and the signals of the rows that can be measured; and the rows that cannot be.

        What is computed for the neighbours is shared only where it can be computed for all rows.
        """
        operator = step.operator

        def measured(part: pl.DataFrame, start: int) -> pl.DataFrame:
            signals = measure(operator, part, shared if part.height == rows.height else None)
            return numbers[start : start + part.height].to_frame().hstack(signals)

        if operator.paid:
            return measured(rows, 0), []
        tables, broken = safely(rows, measured, self._limit, step)
        return pl.concat(tables) if tables else measured(rows.clear(), 0), broken

    def _decided(
        self, step: FilterStep, rows: pl.DataFrame
    ) -> tuple[list[pl.Series], list[Broken]]:
        operator = step.operator
        return safely(rows, lambda part, _: decide(operator, part), self._limit, step, slow=False)

    def _reject(
        self,
        step: AnyStep,
        kind: str,
        rows: pl.DataFrame | None,
        signals: Callable[[], pl.Series] | None = None,
    ) -> None:
        if rows is None or rows.height == 0:
            return
        counts: Counter[str] = getattr(self.ledger[step.path], kind)
        for reason, number in rows["reason"].value_counts().iter_rows():
            counts[reason] += number
        self._on_rejected(step.path, kind, rows, signals)

    def _passed(self, step: AnyStep, rows_in: int, rows_out: int, started: float) -> None:
        entry = self.ledger[step.path]
        entry.rows_in += rows_in
        entry.rows_out += rows_out
        entry.seconds += time.perf_counter() - started


class Broken(NamedTuple):
    """A row that breaks a function on its own: its place in the batch, the exception, its words."""

    place: int
    reason: str
    detail: str


T = TypeVar("T")


def safely(
    batch: pl.DataFrame,
    function: Callable[[pl.DataFrame, int], T],
    limit: TimeLimit,
    step: AnyStep,
    *,
    slow: bool = True,
) -> tuple[list[T], list[Broken]]:
    """Applies `function`, which is of a step, to the batch within a limit of time; where it may be
    `slow`, in parts of as many rows as the operator takes at a time.

    Results and rows that break it are as of `_divided`; a row that exceeds the limit is one of
    them.
    """
    results: list[T] = []
    broken: list[Broken] = []
    most = (step.operator.rows_per_call if slow else None) or max(batch.height, 1)
    for start in range(0, batch.height, most):
        part = batch[start : start + most]
        found, bad = _within(part, start, function, limit, step.path)
        ACTIVITY.goes_on()
        results += found
        broken += bad
    return results, broken


def _within(
    batch: pl.DataFrame,
    start: int,
    function: Callable[[pl.DataFrame, int], T],
    limit: TimeLimit,
    path: str,
) -> tuple[list[T], list[Broken]]:
    """The same with rows that are a part of a batch and begin there at `start`."""
    ids = batch["id"]
    if not limit.goes_row_by_row(path, ids[0]):
        with limit.bounded(Call(path, ids[0], batch.height == 1)):
            return _divided(batch, function, start)
    results: list[T] = []
    broken: list[Broken] = []
    for place, row in enumerate(ids, start):
        if limit.is_exceeded_by(path, row):
            broken.append(Broken(place, TIME_LIMIT, limit.detail))
            continue
        with limit.bounded(Call(path, row, alone=True)):
            found, bad = _divided(batch[place - start : place - start + 1], function, place)
        results += found
        broken += bad
    return results, broken


def _divided(
    batch: pl.DataFrame, function: Callable[[pl.DataFrame, int], T], start: int = 0
) -> tuple[list[T], list[Broken]]:
    """Applies `function` to the batch, and where it raises, to ever smaller parts of it.

    The function is given a part and where that begins. Returns the results in order, and the rows
    that break the function on their own. A panic, after which nothing is sure, is not tried again:
    it is a `PluginError`; and what the machine lacks, such as memory, is no row's fault.
    """
    try:
        return [function(batch, start)], []
    except DatachefError:
        raise
    except BaseException as error:
        if is_panic(error):
            raise panicked(error) from error
        if is_interrupt(error):
            raise
        raise_environment_failure(error)
        if batch.height == 1:
            return [], [Broken(start, type(error).__name__, words_of(error)[:500])]
    half = batch.height // 2
    first, broken_first = _divided(batch[:half], function, start)
    second, broken_second = _divided(batch[half:], function, start + half)
    return first + second, broken_first + broken_second


def broken_rows(batch: pl.DataFrame, broken: Sequence[Broken]) -> pl.DataFrame:
    """The rows of the batch that broke, with `reason` and `detail`."""
    return batch[[at for at, _, _ in broken]].with_columns(
        pl.Series("reason", [reason for _, reason, _ in broken], dtype=pl.String),
        pl.Series("detail", [detail for _, _, detail in broken], dtype=pl.String),
    )


def _without_own_detail(rejects: pl.DataFrame | None, batch: pl.DataFrame) -> pl.DataFrame | None:
    """Rejects without a `detail` that is nothing but a column of the batch."""
    if rejects is None or "detail" not in batch.columns or "detail" not in rejects.columns:
        return rejects
    own = batch.select("id", pl.col("detail").alias("own"))
    both = rejects.select("id", "detail").join(own, on="id", how="left", maintain_order="left")
    return rejects.drop("detail") if both["detail"].equals(both["own"]) else rejects


def _refuse_neighbours(step: AnyStep, batch: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Raises `PluginError` where a row becomes another one with fewer rows beside it.

    `rows` is the result of the batch. Texts that are exchanged between rows show so, and what
    would depend on where batches are cut.
    """
    for places in some_rows(batch.height):
        some = batch[places]
        try:
            again = _process(step, some).rows
        except ENDINGS:
            continue  # a row that breaks it fails where it is processed
        own = parents(rows["id"], batch["id"]).is_in(some["id"].implode())
        # turns as structs have the fields of all turns of a batch
        if unlike(with_stored_turns(rows.filter(own)), with_stored_turns(again)):
            raise PluginError(
                f"{step.operator.op} makes something else of a row in another batch",
                "a transform rewrites each row by itself, without looking at others or at chance",
            )


def _process(step: AnyStep, batch: pl.DataFrame) -> Outcome:
    operator = step.operator
    if isinstance(operator, CorpusOperator):
        if step.decision is None:
            raise PluginError(f"{step.path}: no decision to apply")
        return outcome_of(operator.apply(batch.clone(), step.decision.clone()), "apply()", batch)
    if isinstance(operator, Transform):
        outcome = operator.process(batch)
        if type(operator).process is not Transform.process:  # which has accounted for every row
            outcome = outcome_of(outcome, "process()", batch)
        return outcome
    raise PluginError(f"{operator.op} is none of the four shapes", "subclass Filter or Transform")
