"""Number match: the last number of the response is the gold number."""

from __future__ import annotations

from decimal import Decimal

from datachef.core.errors import DatachefError
from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.numbers import last_number


def gold_number(item: BenchmarkItem) -> Decimal:
    """The last number of the gold answer; an answer without one is a `DatachefError`."""
    number = last_number(item.answer)
    if number is None:
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} has no number",
            hint="name the field with the number as `answer`, or choose another metric",
        )
    return number


class NumberMatch(Checker):
    """Right where the last numbers are equal in value: `18`, `18.00` and `$18.` are."""

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return last_number(response) == gold_number(item)
