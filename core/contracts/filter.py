"""Filters: signals measure a row, rules decide on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import Field

from datachef.core.contracts.operator import Operator
from datachef.core.contracts.parameters import THRESHOLD

if TYPE_CHECKING:
    import polars as pl

# What measures a row: an expression, or a function from a batch to one value per row.
Signal: TypeAlias = "pl.Expr | Callable[[pl.DataFrame], pl.Series]"

# A column of the source that has the name of a kept signal goes on under this and its name.
DISPLACED = "original_"


class Filter(Operator):
    """Keeps a row unless one of its rules rejects it; a rule's name is the reason of the drop.

    Rules are tried in order and the first that holds is the reason. A rule that comes out null does
    not reject.
    """

    shape: ClassVar[str] = "filter"

    keep_signals: bool = Field(
        False, description="Keep the measured signals as columns for later steps and the output."
    )

    @abstractmethod
    def signals(self) -> Mapping[str, Signal]:
        """Named measurements: a polars expression, or a function from batch to series.

        They depend on no parameter made by `threshold()`. A name that begins with an underscore is
        an intermediate (the words of a text): an expression, computed first, shared by consecutive
        filters that write the same expression, never kept.
        """
        raise NotImplementedError

    @abstractmethod
    def rules(self) -> Mapping[str, pl.Expr]:
        """Named conditions on signals; the row is dropped where one is true."""
        raise NotImplementedError

    def details(self, dropped: pl.DataFrame) -> pl.Series | None:
        """A text for each dropped row beside its `reason`, kept with the rejected rows: what it was
        taken for. None where there is nothing more to say."""
        return None

    def reasons(self) -> tuple[str, ...]:
        return tuple(self.rules())

    def writes(self) -> set[str]:
        return set(self.signal_names()) if self.keep_signals else set()

    def signal_names(self) -> list[str]:
        """The signals that last, in order."""
        return [name for name in self.signals() if not name.startswith("_")]

    @classmethod
    def thresholds(cls) -> set[str]:
        """The parameters that only rules read."""
        return set(cls.marked(THRESHOLD))

    def signal_identity(self) -> dict[str, Any]:
        """All that the signals depend on: everything but the thresholds."""
        left_out = self.thresholds() | {"keep_signals"}
        identity = self.identity()
        parameters = identity["parameters"]
        kept = {name: value for name, value in parameters.items() if name not in left_out}
        return identity | {"parameters": kept}
