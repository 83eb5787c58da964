"""Mixing: how often each row of each source is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.mixing.weighted_mix import WeightedMix

    return [WeightedMix]
