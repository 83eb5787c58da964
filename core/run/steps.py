"""The steps of a stage, ready to be run on rows: an operator at its place, with its decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeGuard, TypeVar

import polars as pl

from datachef.core.contracts.corpus import CorpusOperator
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.errors import PluginError
from datachef.core.run.thresholds import thresholds_of
from datachef.core.system.child_process import ACTIVITY
from datachef.core.system.containment import in_place

# The number of a row among those that reach a group of filters, over all batches of the partition.
# It stands in tables of our own alone, beside signals, whose names begin with no underscore.
ROW = "_row"

O_co = TypeVar("O_co", bound=Operator, covariant=True)


@dataclass(frozen=True)
class Step(Generic[O_co]):
    """An operator at its place in the recipe, with the decision that it applies, if any, and the
    package that it came from.

    `identity` is all that its result depends on, apart from the rows.
    """

    path: str
    operator: O_co
    decision: pl.DataFrame | None = None
    package: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.path} ({self.operator.op}{f' of {self.package}' if self.package else ''})"

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """Where the rules of a filter cut its signals."""
        if not _is_filter(self):
            return ()
        return tuple(found.edge for found in thresholds_of(self.operator))

    @contextmanager
    def located(self) -> Iterator[None]:
        """Within it, a `PluginError` names this step, as does a report that the process hangs."""
        ACTIVITY.begin(str(self))
        try:
            with in_place():
                yield
        except PluginError as error:
            raise PluginError(f"{self}: {error.message}", error.hint) from error


FilterStep = Step[Filter]
CorpusStep = Step[CorpusOperator]
AnyStep = Step[Operator]


def groups(steps: Sequence[AnyStep]) -> list[list[FilterStep] | AnyStep]:
    """Consecutive filters together, every other step alone."""
    result: list[list[FilterStep] | AnyStep] = []
    for step in steps:
        last = result[-1] if result else None
        if not _is_filter(step):
            result.append(step)
        elif isinstance(last, list):
            last.append(step)
        else:
            result.append([step])
    return result


def corpus_step(step: AnyStep) -> CorpusStep:
    """The step as one with a corpus operator. Raises `PluginError` where it has none."""
    if not _is_corpus_step(step):
        raise PluginError(f"{step} is not a corpus operator")
    return step


def _is_corpus_step(step: AnyStep) -> TypeGuard[CorpusStep]:
    return isinstance(step.operator, CorpusOperator)


def _is_filter(step: AnyStep) -> TypeGuard[FilterStep]:
    return isinstance(step.operator, Filter)
