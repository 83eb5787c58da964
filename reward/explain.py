"""Which source or step a score owes most to: what the reward says of the recipe without it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datachef.core.document import Document
from datachef.core.problems import dotted
from datachef.core.reward import Reward, Score


@dataclass(frozen=True)
class Contribution:
    """What a part of a recipe adds to the score: negative for one that it would be better without.

    `path` is its place in the recipe, `what` the operator or source, `without` the score of the
    recipe that lacks it.
    """

    path: str
    what: str
    effect: float
    without: Score


def leave_one_out(recipe: Document, reward: Reward, score: Score) -> list[Contribution]:
    """The contribution of every source and step, greatest effect first.

    Effects are differences of predictions; where the recipe is stopped without the part, of values.
    """
    parts = list(without_each(recipe.data))
    others = reward.score_all([Document(data) for _, _, data in parts])
    found = [
        Contribution(path, what, _difference(score, other), other)
        for (path, what, _), other in zip(parts, others, strict=True)
    ]
    return sorted(found, key=lambda part: -abs(part.effect))


def without_each(data: Any) -> Iterator[tuple[str, str, Any]]:
    """Place, name and the recipe without it, of every source (but an only one) and every step."""
    sources = data.get("sources") or {}
    for name in sources:
        if len(sources) > 1:
            rest = copy.deepcopy(data)
            del rest["sources"][name]
            weights = (rest.get("mix") or {}).get("weights")
            if isinstance(weights, dict):
                weights.pop(name, None)
            if not isinstance(weights, dict) or any(weights.values()):
                yield dotted(("sources", name)), name, rest
        for index, step in enumerate((sources[name] or {}).get("steps") or ()):
            rest = copy.deepcopy(data)
            del rest["sources"][name]["steps"][index]
            yield dotted(("sources", name, "steps", index)), step["op"], rest
    for index, step in enumerate(data.get("steps") or ()):
        rest = copy.deepcopy(data)
        del rest["steps"][index]
        yield dotted(("steps", index)), step["op"], rest


def _difference(score: Score, other: Score) -> float:
    if score.predicted is None or other.predicted is None:
        return score.value - other.value
    return score.predicted - other.predicted
