"""Questions with two answers."""

from __future__ import annotations

import re

from datachef.core.errors import DatachefError
from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.text import final_answer, normalised

_MEANING = {"yes": True, "true": True, "no": False, "false": False}
_WORD = re.compile(r"\b(?:yes|no|true|false)\b")
_SHORT = {"y": True, "n": False, "1": True, "0": False}


def gold_is_yes(item: BenchmarkItem) -> bool:
    """The meaning of a gold answer: yes, no, true, false, y, n, 1 or 0; else a `DatachefError`."""
    gold = normalised(item.answer)
    if (meaning := (_MEANING | _SHORT).get(gold)) is None:
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} is neither yes nor no",
            hint="yes, no, true and false can be compared; for other words use the metric label",
        )
    return meaning


class YesNo(Checker):
    """Right where the response means what the gold answer means.

    It may start with its answer, announce it, or name one of the two alone.
    """

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return _meaning(response) is gold_is_yes(item)


def _meaning(response: str) -> bool | None:
    final = final_answer(response)
    for answer in (response,) if final is None else (final, response):
        words = normalised(answer)
        if first := _WORD.match(words):
            return _MEANING[first[0]]
        meant = {_MEANING[word] for word in _WORD.findall(words)}
        if len(meant) == 1:
            return meant.pop()
    return None
