"""Runs a batch through the row-wise steps of a stage; a row that breaks one costs itself alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import polars as pl

from datachef.core.corpus import CorpusOperator
from datachef.core.errors import DatachefError, PluginError
from datachef.core.filter import Filter
from datachef.core.operator import Operator, Outcome
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.signals import column, decide, measure
from datachef.core.transform import Transform


@dataclass(frozen=True)
class Step:
    """An operator at its place in the recipe, with the decision that it applies, if any."""

    path: str
    operator: Operator
    decision: pl.DataFrame | None = None


class SignalMemory(Protocol):
    """Remembers the signals of a group of filters, batch by batch."""

    def recall(self, group: int, height: int) -> pl.DataFrame | None:
        """The signals of the next `height` rows that reach the group, if they are known."""

    def remember(self, group: int, signals: pl.DataFrame | None) -> None:
        """Takes the signals of the rows just measured; None when some could not be."""


OnRejected = Callable[[str, str, pl.DataFrame], None]


def groups(steps: Sequence[Step]) -> list[list[Step]]:
    """Consecutive filters together, every other step alone.

    A slow filter begins a group, so that its model sees only the rows that the filters before it
    let through.
    """
    result: list[list[Step]] = []
    for step in steps:
        fuses = isinstance(step.operator, Filter) and not _is_slow(step.operator)
        if fuses and result and isinstance(result[-1][-1].operator, Filter):
            result[-1].append(step)
        else:
            result.append([step])
    return result


def _is_slow(operator: Filter) -> bool:
    return operator.slow or any(
        not isinstance(signal, pl.Expr) for signal in operator.signals().values()
    )


class Chain:
    """The row-wise steps of a stage; `ledger` tells what became of the rows."""

    def __init__(
        self, steps: Sequence[Step], signals: SignalMemory, on_rejected: OnRejected
    ) -> None:
        self.groups = groups(steps)
        self.ledger = Ledger(Entry(step.path, step.operator.op) for step in steps)
        self._signals = signals
        self._on_rejected = on_rejected

    def run(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The rows of the batch that pass all steps."""
        for index, group in enumerate(self.groups):
            started = time.perf_counter()
            operator = group[0].operator
            batch = (
                self._filter(index, group, batch)
                if isinstance(operator, Filter)
                else self._step(group[0], batch)
            )
            elapsed = time.perf_counter() - started
            for step in group:
                self.ledger[step.path].seconds += elapsed / len(group)
        return batch

    def _step(self, step: Step, batch: pl.DataFrame) -> pl.DataFrame:
        outcomes, broken = safely(batch, lambda part: _process(step, part))
        parts = [batch.clear()] if not outcomes else []
        for outcome in outcomes:
            self._reject(step, "dropped", outcome.dropped)
            self._reject(step, "failed", outcome.failed)
            self.ledger[step.path].created += outcome.created
            parts.append(outcome.rows)
        self._reject(step, "failed", broken)
        rows = pl.concat(parts, how="diagonal_relaxed") if len(parts) > 1 else parts[0]
        self._passed(step, batch.height, rows.height)
        return rows

    def _filter(self, index: int, group: list[Step], batch: pl.DataFrame) -> pl.DataFrame:
        filters = [step.operator for step in group if isinstance(step.operator, Filter)]
        table, broken = self._measured(index, filters, batch)
        columns = batch.columns
        height = batch.height
        self._reject(group[0], "failed", broken)
        for position, (step, operator) in enumerate(zip(group, filters, strict=True)):
            own = [table[column(position, n)].alias(n) for n in operator.signal_names()]
            reason = decide(operator, table.select(columns).with_columns(own))
            rejects = reason.is_not_null()
            if rejects.any():
                dropped = table.select(columns).with_columns(reason).filter(rejects)
                self._reject(step, "dropped", dropped)
            if operator.keep_signals:
                table = table.with_columns(own)
                columns = [*columns, *(s.name for s in own if s.name not in columns)]
            table = table.filter(~rejects)
            self._passed(step, height, table.height)
            height = table.height
        return table.select(columns)

    def _measured(
        self, index: int, filters: list[Filter], batch: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """The batch with all signals beside it, and the rows that could not be measured."""
        remembered = self._signals.recall(index, batch.height)
        if remembered is not None:
            return batch.hstack(remembered), None
        if batch.height == 0:
            return batch.hstack(measure(filters, batch)), None
        tables, broken = safely(batch, lambda part: part.hstack(measure(filters, part)))
        if not tables:
            return batch.clear().hstack(measure(filters, batch.clear())), broken
        table = pl.concat(tables)
        self._signals.remember(index, table.drop(batch.columns) if broken is None else None)
        return table, broken

    def _reject(self, step: Step, kind: str, rows: pl.DataFrame | None) -> None:
        if rows is None or rows.height == 0:
            return
        counts: Counter[str] = getattr(self.ledger[step.path], kind)
        for reason, number in rows["reason"].value_counts().iter_rows():
            counts[reason] += number
        self._on_rejected(step.path, kind, rows)

    def _passed(self, step: Step, rows_in: int, rows_out: int) -> None:
        self.ledger[step.path].rows_in += rows_in
        self.ledger[step.path].rows_out += rows_out


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
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - any operator, any bug
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
        return operator.apply(batch, step.decision)
    if isinstance(operator, Transform):
        return operator.process(batch)
    raise PluginError(f"{operator.op} is none of the four shapes", "subclass Filter or Transform")
