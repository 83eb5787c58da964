"""The base of filters that hold one measurement of a text between two bounds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from datachef.core import Filter

if TYPE_CHECKING:
    from datachef.core import Signal


class RangeFilter(Filter):
    """Keeps text of which one measurement is at least `min` and at most `max`.

    A subclass names the measurement by `quantity`, which is its signal too, says how it is taken,
    and declares `min` and `max` with `threshold()`; None sets no limit.
    """

    quantity: ClassVar[str]

    min: float | None
    max: float | None

    @abstractmethod
    def measurement(self) -> Signal:
        """The expression that measures a row, or the function that measures a batch."""
        raise NotImplementedError

    def intermediates(self) -> Mapping[str, pl.Expr]:
        """What the measurement reads besides the row: names that begin with an underscore."""
        return {}

    def signals(self) -> Mapping[str, Signal]:
        return {**self.intermediates(), self.quantity: self.measurement()}

    def reasons(self) -> tuple[str, ...]:
        return (f"{self.quantity}_too_low", f"{self.quantity}_too_high")

    def rules(self) -> Mapping[str, pl.Expr]:
        measured, rules = pl.col(self.quantity), {}
        if self.min is not None:
            rules[f"{self.quantity}_too_low"] = measured < self.min
        if self.max is not None:
            rules[f"{self.quantity}_too_high"] = measured > self.max
        return rules
