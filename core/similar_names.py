"""Which known names a word may be meant for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from math import log

# Least similarity of a name that is worth a hint, and how far below the best one another may lie.
FLOOR = 0.65
MARGIN = 0.15
# Of a word or a name no more is compared.
_LONGEST = 200
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")


def similar_names(word: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The names that are like the word, the best first; none where none is.

    They are compared word by word, in any order, and a word counts the less the more names have it:
    `pii_filter` and `ifd_filter` have nothing in common but what forty others have, too.
    """
    known = {name: _words(name) for name in names}
    if not known:
        return []
    count = Counter(part for parts in known.values() for part in set(parts))
    weights = {part: log(1 + len(known) / times) for part, times in count.items()}
    typed = _words(word)
    for part in typed:
        alike = max(count, key=lambda other: _ratio(part, other))
        rare = log(1 + len(known))
        weights.setdefault(part, weights[alike] if _ratio(part, alike) >= FLOOR else rare)
    found = sorted(
        (-(_covered(typed, parts, weights) + _covered(parts, typed, weights)) / 2, name)
        for name, parts in known.items()
    )
    least = max(FLOOR, -found[0][0] - MARGIN) if found else FLOOR
    return [name for score, name in found[:most] if -score >= least]


def _words(name: str) -> tuple[str, ...]:
    """`min_words`, `min-words` and `MinWords` are made of the same words."""
    cut = name[:_LONGEST]
    return tuple(_WORD.findall(_CAPITAL.sub("_", cut).lower())) or (cut,)


def _covered(parts: Sequence[str], by: Sequence[str], weights: Mapping[str, float]) -> float:
    """The share of the words that others have, too, by their weights."""
    alike = sum(weights[part] * max(_ratio(part, other) for other in by) for part in parts)
    return alike / sum(weights[part] for part in parts)


@lru_cache(maxsize=50_000)
def _ratio(word: str, other: str) -> float:
    return 1.0 if word == other else SequenceMatcher(None, word, other, autojunk=False).ratio()
