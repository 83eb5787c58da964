"""What the smooth models of a proxy have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from datachef.reward.proxy.arrays import Floats
from datachef.reward.proxy.folds import Mask
from datachef.reward.proxy.table import Table


class Smooth(Protocol):
    """A fitted model. `extrapolates` says whether it is heard where nothing was measured."""

    extrapolates: ClassVar[bool]

    def predict(self, table: Table) -> Floats:
        """The predicted score of each row."""
        ...


@dataclass(frozen=True)
class Tuned:
    """A model whose settings were chosen on all rows, with the way to choose them on fewer.

    `refit` learns from part of the rows and, with folds of them, chooses again those settings that
    could have been chosen for the sake of the other rows.
    """

    model: Smooth
    refit: Callable[[Table, Floats, Sequence[Mask]], Smooth]
