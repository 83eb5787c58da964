"""Exact match of normalised strings."""

from __future__ import annotations

from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker, golds
from datachef.reward.metrics.text import final_answer, normalised


class ExactMatch(Checker):
    """Right where the response, or the answer it announces, is one of the gold answers.

    Case, white space, and punctuation at the edges make no difference.
    """

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        accepted = {normalised(gold) for gold in golds(item)}
        given = {normalised(response), normalised(final_answer(response) or "")}
        return not accepted.isdisjoint(given - {""})
