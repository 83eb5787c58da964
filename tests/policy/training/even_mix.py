"""Another way to mix, loaded with --plugin."""

from __future__ import annotations

from typing import Literal

from datachef.core import Operator, hookimpl
from datachef.operators.mixing.weighted_mix import WeightedMix


class EvenMix(WeightedMix):
    """Mixes as weighted_mix does."""

    op: Literal["even_mix"] = "even_mix"  # type: ignore[recipe_task]


@hookimpl
def datachef_operators() -> list[type[Operator]]:
    return [EvenMix]
