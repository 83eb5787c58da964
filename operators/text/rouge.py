"""ROUGE-L: how much of two texts is the same words in the same order."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A word of its own is each character of the scripts that put no spaces between words.
_UNSPACED = (
    "\u0e01-\u0e4e\u0e80-\u0ece\u1000-\u109f\u1780-\u17d3\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def rouge_words(text: str) -> list[str]:
    """The words that ROUGE compares: in small letters, without punctuation."""
    return _WORD.findall(text.lower())


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """The F-measure of ROUGE-L (Lin 2004) of two lists of words, from 0 to 1."""
    total = len(one) + len(other)
    return 2 * _common(one, other) / total if total else 1.0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, by bits of a number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = left = (1 << len(one)) - 1
    for word in other:
        matched = left & places.get(word, 0)
        left = (left + matched | left - matched) & full
    return len(one) - left.bit_count()


def most_similar(words: Sequence[str], others: Sequence[Sequence[str]], least: float) -> int | None:
    """The place of the first of some lists of words that is at least so similar; None for none."""
    for place, other in enumerate(others):
        # Their lengths alone say of most that they cannot be.
        bound = 2 * min(len(words), len(other)) / max(len(words) + len(other), 1)
        if bound >= least and rouge_l(words, other) >= least:
            return place
    return None
