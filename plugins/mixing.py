"""The mixing operators we register."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core import Operator, hookimpl


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.mixing.weighted_mix import WeightedMix

    return [WeightedMix]
