"""Runs a batch through the row-wise steps of a stage; a row that breaks one costs itself alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import polars as pl

from datachef.core.accounting import outcome_of
from datachef.core.chat import with_stored_turns
from datachef.core.containment import ENDINGS
from datachef.core.corpus import CorpusOperator
from datachef.core.errors import DatachefError, PluginError
from datachef.core.filter import Filter
from datachef.core.operator import Operator, Outcome
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.signals import Intermediates, decide, measure
from datachef.core.transform import Transform


@dataclass(frozen=True)
class Step:
    """An operator at its place in the recipe, with the decision that it applies, if any, and the
    package that it came from.

    `identity` is all that its result depends on, apart from the rows.
    """

    path: str
    operator: Operator
    decision: pl.DataFrame | None = None
    package: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.path} ({self.operator.op}{f' of {self.package}' if self.package else ''})"

    @contextmanager
    def located(self) -> Iterator[None]:
        """A mistake of the operator's author says where in the recipe it was met."""
        try:
            yield
        except PluginError as error:
            raise PluginError(f"{self}: {error.message}", error.hint) from error


# The number of a row among those that reach a group of filters, over all batches of the unit.
ROW = "\0row"


class SignalMemory(Protocol):
    """Remembers signals: of each filter, by its group and its place in it."""

    def recall(self, group: int, place: int, rows: pl.DataFrame) -> pl.DataFrame | None:
        """What is known of these rows: `ROW` and the signals; None where that is nothing."""

    def remember(self, group: int, place: int, rows: pl.DataFrame, signals: pl.DataFrame) -> None:
        """Takes what was measured of some of the rows: `ROW` and the signals."""


OnRejected = Callable[[str, str, pl.DataFrame], None]


def groups(steps: Sequence[Step]) -> list[list[Step]]:
    """Consecutive filters together, every other step alone."""
    result: list[list[Step]] = []
    for step in steps:
        if (
            result
            and isinstance(step.operator, Filter)
            and isinstance(result[-1][0].operator, Filter)
        ):
            result[-1].append(step)
        else:
            result.append([step])
    return result


class Chain:
    """The row-wise steps of a stage; `ledger` tells what became of the rows."""

    def __init__(
        self, steps: Sequence[Step], signals: SignalMemory, on_rejected: OnRejected
    ) -> None:
        self.groups = groups(steps)
        self.ledger = Ledger(Entry(step.path, step.operator.op) for step in steps)
        self._signals = signals
        self._on_rejected = on_rejected
        self._arrived = [0] * len(self.groups)

    def run(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The rows of the batch that pass all steps."""
        for index, group in enumerate(self.groups):
            if isinstance(group[0].operator, Filter):
                batch = self._filter(index, group, batch)
            else:
                batch = self._step(group[0], batch)
        return batch

    def _step(self, step: Step, batch: pl.DataFrame) -> pl.DataFrame:
        started = time.perf_counter()
        with step.located():
            outcomes, broken = safely(batch, lambda part: _process(step, part))
        parts = [batch.clear()] if not outcomes else []
        for outcome in outcomes:
            self._reject(step, "dropped", outcome.dropped)
            self._reject(step, "failed", outcome.failed)
            self.ledger[step.path].created += outcome.created
            parts.append(with_stored_turns(outcome.rows))
        self._reject(step, "failed", broken)
        rows = pl.concat(parts, how="diagonal_relaxed") if len(parts) > 1 else parts[0]
        self._passed(step, batch.height, rows.height, started)
        return rows

    def _filter(self, index: int, group: list[Step], batch: pl.DataFrame) -> pl.DataFrame:
        """Each filter measures what those before it let through, and shares what they computed."""
        rows = batch.with_row_index(ROW, offset=self._arrived[index])
        self._arrived[index] += batch.height
        shared = Intermediates()
        for place, step in enumerate(group):
            started = time.perf_counter()
            height = rows.height
            operator = step.operator
            assert isinstance(operator, Filter)
            with step.located():
                signals, broken = self._signals_of((index, place), operator, rows, shared)
            rows = self._without(step, rows, broken, shared)
            judged = rows.with_columns(signals.drop(ROW))
            with step.located():
                reasons, broken = safely(judged, partial(decide, operator))
            if broken is not None:
                judged = judged.filter(_others(judged, broken))
                rows = self._without(step, rows, broken, shared)
            reason = pl.concat(reasons) if reasons else pl.Series("reason", [], pl.String)
            rejects = reason.is_not_null()
            if operator.keep_signals:
                rows = judged
            if rejects.any():
                dropped = rows.with_columns(reason).filter(rejects).drop(ROW)
                with step.located():
                    details = operator.details(dropped)
                detail = pl.lit("") if details is None else details
                self._reject(step, "dropped", dropped.with_columns(detail.alias("detail")))
                rows = rows.filter(~rejects)
                shared.keep(~rejects)
            self._passed(step, height, rows.height, started)
        return rows.drop(ROW)

    def _without(
        self, step: Step, rows: pl.DataFrame, broken: pl.DataFrame | None, shared: Intermediates
    ) -> pl.DataFrame:
        """The rows that do not break the step; the others have failed."""
        if broken is None:
            return rows
        self._reject(step, "failed", broken.select(*rows.columns, "reason", "detail").drop(ROW))
        fine = _others(rows, broken)
        shared.keep(fine)
        return rows.filter(fine)

    def _signals_of(
        self, key: tuple[int, int], operator: Filter, rows: pl.DataFrame, shared: Intermediates
    ) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """`ROW` and the signals of all rows that can be measured; and the rows that cannot be."""
        known = self._signals.recall(*key, rows)
        if known is not None:
            missing = rows.join(known, on=ROW, how="anti", maintain_order="left")
            if missing.height == 0:
                return known, None
            fresh, broken = _measured_safely(operator, missing, None)
        elif rows.height == 0:
            return _measured(operator, rows, None), None
        else:
            fresh, broken = _measured_safely(operator, rows, shared)
        self._signals.remember(*key, rows, fresh)
        return fresh if known is None else pl.concat([known, fresh]).sort(ROW), broken

    def _reject(self, step: Step, kind: str, rows: pl.DataFrame | None) -> None:
        if rows is None or rows.height == 0:
            return
        counts: Counter[str] = getattr(self.ledger[step.path], kind)
        for reason, number in rows["reason"].value_counts().iter_rows():
            counts[reason] += number
        self._on_rejected(step.path, kind, rows)

    def _passed(self, step: Step, rows_in: int, rows_out: int, started: float) -> None:
        entry = self.ledger[step.path]
        entry.rows_in += rows_in
        entry.rows_out += rows_out
        entry.seconds += time.perf_counter() - started


def _others(rows: pl.DataFrame, some: pl.DataFrame) -> pl.Series:
    return ~rows[ROW].is_in(some[ROW].implode())


def _measured(operator: Filter, rows: pl.DataFrame, shared: Intermediates | None) -> pl.DataFrame:
    return rows.select(ROW).hstack(measure(operator, rows, shared))


def _measured_safely(
    operator: Filter, rows: pl.DataFrame, shared: Intermediates | None
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """What is computed for the neighbours is shared only where it can be computed for all rows."""

    def measured(part: pl.DataFrame) -> pl.DataFrame:
        return _measured(operator, part, shared if part.height == rows.height else None)

    tables, broken = safely(rows, measured)
    return pl.concat(tables) if tables else _measured(operator, rows.clear(), None), broken


T = TypeVar("T")


def safely(
    batch: pl.DataFrame, function: Callable[[pl.DataFrame], T]
) -> tuple[list[T], pl.DataFrame | None]:
    """Applies `function`, and where it raises, to ever smaller parts of the batch.

    Returns the results in order, and the rows that break the function on their own, with the
    exception as their `reason` and its words as `detail`.
    """
    if batch.height == 0:
        return [], None
    try:
        return [function(batch)], None
    except DatachefError:
        raise
    except (*ENDINGS, pl.exceptions.PanicException) as error:
        if batch.height == 1:
            reason = pl.lit(type(error).__name__).alias("reason")
            return [], batch.with_columns(reason, pl.lit(str(error)[:500]).alias("detail"))
    half = batch.height // 2
    first, broken_first = safely(batch[:half], function)
    second, broken_second = safely(batch[half:], function)
    broken = [part for part in (broken_first, broken_second) if part is not None]
    return first + second, pl.concat(broken) if broken else None


def _process(step: Step, batch: pl.DataFrame) -> Outcome:
    operator = step.operator
    if isinstance(operator, CorpusOperator):
        if step.decision is None:
            raise PluginError(f"{step.path}: no decision to apply")
        return outcome_of(operator.apply(batch.clone(), step.decision.clone()), "apply()", batch)
    if isinstance(operator, Transform):
        return operator.process(batch)
    raise PluginError(f"{operator.op} is none of the four shapes", "subclass Filter or Transform")
