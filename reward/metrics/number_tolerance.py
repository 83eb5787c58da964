"""Number match within a tolerance, for answers that are measured or rounded."""

from __future__ import annotations

from decimal import Decimal

from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.number_match import gold_number
from datachef.reward.metrics.numbers import last_number


class NumberTolerance(Checker):
    """Right where the last number is within 5 % of the gold one; zero has to be met exactly.

    The tolerance is that of SciBench (Wang et al. 2023, https://arxiv.org/abs/2307.10635).
    """

    tolerance = Decimal("0.05")

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        number, gold = last_number(response), gold_number(item)
        return number is not None and abs(number - gold) <= self.tolerance * abs(gold)
