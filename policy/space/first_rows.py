"""Tries steps on the first rows of sources: what leaves nothing of them is not worth writing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.contracts.task import Task
from datachef.core.contracts.transform import Transform
from datachef.core.errors import DatachefError
from datachef.core.registry.promises import is_unready
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.rows.columns import concat
from datachef.core.rows.inspection import SourceInfo, rows_of_places
from datachef.core.run.signals import decide, measure
from datachef.core.run.stage import key_of
from datachef.core.system.containment import ENDINGS
from datachef.core.system.failures import raise_environment_failure
from datachef.policy.settings import GrammarLimits
from datachef.policy.space.nodes import Choice, Record
from datachef.policy.space.steps import minimal_step, operator_name

ROWS = 30
# Of texts that are longer in all fewer rows are tried.
MOST_BYTES = 200_000


class FirstRows:
    """The first rows of sources, on which filters and transforms are tried.

    A source to which its pool does something first is not tried with: its steps meet other rows.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceInfo],
        vocabulary: Vocabulary,
        task: Task | None,
        limits: GrammarLimits,
    ) -> None:
        self._sources = sources
        self._vocabulary = vocabulary
        self._task = task
        self._limits = limits
        self._heights: dict[str, int] = {}
        self._rows: dict[tuple[str, ...], pl.DataFrame] = {}
        self._signals: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}

    def fitting(self, record: Record, sources: Collection[str]) -> set[str]:
        """The sources of which the shortest steps of an operator leave enough, or one of these."""
        return set().union(*(self._kept(step, sources) for step in _shortest(record)))

    def narrowed(self, record: Record, sources: Collection[str]) -> Record:
        """The steps without values that, alone, leave too little of most of these sources. Those
        that the limits name stay, and those of transforms that drop nothing for its content."""
        op, minimal = operator_name(record), minimal_step(record)
        operator = self._vocabulary[op].model_validate(minimal)
        if isinstance(operator, Transform) and operator.reasons() == Transform.reasons(operator):
            return record

        def kept(name: str, choice: Choice) -> Choice:
            if name == "op" or f"{op}.{name}" in self._limits.parameters:
                return choice
            return Choice(
                tuple(
                    value
                    for value in choice.values
                    if is_most(self._kept({**minimal, name: value}, sources), sources)
                )
            )

        required, optional = (
            {n: kept(n, node) if isinstance(node, Choice) else node for n, node in part.items()}
            for part in (record.required, record.optional)
        )
        return Record(required, {n: node for n, node in optional.items() if node != Choice(())})

    def _kept(self, step: Mapping[str, Any], sources: Collection[str]) -> set[str]:
        """The sources of which a step leaves enough, and those where that cannot be told: of what
        needs the whole corpus, runs a model or code, or breaks."""
        tried = tuple(n for n, s in self._sources.items() if n in sources and not s.source.steps)
        kind = self._vocabulary[step["op"]]
        if (
            not self._limits.least_kept
            or not tried
            or not issubclass(kind, Filter | Transform)
            or issubclass(kind, Synthesis)
        ):
            return set(sources)
        try:
            operator: Operator = kind.model_validate(dict(step))
            operator = operator.for_task(self._task) if self._task is not None else operator
            if _takes_long(operator) or is_unready(operator):
                return set(sources)
            left = self._left(operator, tried)
        except DatachefError:
            return set(sources)
        except (*ENDINGS, pl.exceptions.PanicException) as error:
            raise_environment_failure(error)
            return set(sources)
        least = self._limits.least_kept
        gone = {name for name in tried if left.get(name, 0) < least * self._heights[name]}
        return set(sources) - gone

    def _left(self, operator: Operator, sources: tuple[str, ...]) -> dict[str, int]:
        """How many rows, of those that a step is given of each source, it leaves."""
        rows = self._first(sources)
        if isinstance(operator, Filter):
            key = key_of(operator.signal_identity()), sources
            if key not in self._signals:
                self._signals[key] = measure(operator, rows)
            stay = decide(operator, rows.hstack(self._signals[key])).is_null()
            left = rows["source"].filter(stay)
        else:
            assert isinstance(operator, Transform)
            left = operator.process(rows).rows.unique("id")["source"]
        return dict(left.value_counts().iter_rows())

    def _first(self, sources: tuple[str, ...]) -> pl.DataFrame:
        """The first rows of these sources, one below the other."""
        if sources not in self._rows and len(sources) > 1:
            self._rows[sources] = concat([self._first((name,)) for name in sources])
        elif sources not in self._rows:
            (name,) = sources
            rows = rows_of_places(self._sources[name], name, ROWS)
            short = rows["text"].str.len_bytes().cum_sum() <= MOST_BYTES
            self._rows[sources] = rows.filter(short) if short.any() else rows[:1]
            self._heights[name] = self._rows[sources].height
        return self._rows[sources]


def is_most(some: Collection[str], of: Collection[str]) -> bool:
    """Whether these are at least half."""
    return 2 * len(some) >= len(of)


def _takes_long(operator: Operator) -> bool:
    return operator.rows_per_call is not None or operator.paid or operator.runs_code()


def _shortest(record: Record) -> list[dict[str, Any]]:
    """The steps with nothing but the parameters that must be written, with each value once."""
    minimal = minimal_step(record)
    choices = {n: node for n, node in record.required.items() if isinstance(node, Choice)}
    others = [{**minimal, n: value} for n, node in choices.items() for value in node.values[1:]]
    return [minimal, *others]
