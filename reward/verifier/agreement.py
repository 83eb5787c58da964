"""How far two judges agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from datachef.reward.verifier.verdict import Klass


def agreement(pairs: Sequence[tuple[Klass, Klass]]) -> float | None:
    """The share of rows that two judges put into the same class; None without rows."""
    return float(_same(pairs)) if pairs else None


def kappa(pairs: Sequence[tuple[Klass, Klass]]) -> float | None:
    """Cohen's kappa: the agreement beyond chance, over the most that could be beyond it.

    (p - e) / (1 - e), where e is the agreement of two judges who use the classes as often as these
    do, but at random (Cohen 1960, https://doi.org/10.1177/001316446002000104). None without rows,
    and where both put all rows into one class: then there is nothing beyond chance.
    """
    if not pairs:
        return None
    one, other = (Counter(side) for side in zip(*pairs, strict=True))
    chance = Fraction(sum(one[klass] * other[klass] for klass in one), len(pairs) ** 2)
    return None if chance == 1 else float((_same(pairs) - chance) / (1 - chance))


def _same(pairs: Sequence[tuple[Klass, Klass]]) -> Fraction:
    return Fraction(sum(one == other for one, other in pairs), len(pairs))
