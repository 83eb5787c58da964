"""Labels: the response names one class of a closed set."""

from __future__ import annotations

import re

from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.text import final_answer, mentioned, normalised


class Label(Checker):
    """Right where the response, or the answer it announces, is or starts with the gold label.

    Where the item lists its labels as choices, a response that names the gold one alone is right
    too; without the list nobody knows what else it names.
    """

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        gold = normalised(item.answer)
        final = final_answer(response)
        for answer in (response,) if final is None else (final, response):
            if re.match(rf"{re.escape(gold)}(?![\w-])", normalised(answer)):
                return True
            place = mentioned(answer, item.choices)
            if place is not None:
                return normalised(item.choices[place]) == gold
        return False
