"""Steps of recipes: the combinations that people use, and random ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

Step = dict[str, Any]


def deduplicated() -> list[Step]:
    """Each text once, whatever its case and spacing."""
    return [{"op": "exact_dedup", "normalize": "letters"}]


def length_ranked(order: str, share: float) -> list[Step]:
    """The longest rows in descending order, or the shortest in ascending."""
    measured = {"op": "length_filter", "keep_signals": True}
    return [measured, _best("length_chars", order, share)]


def quality_ranked(order: str, share: float) -> list[Step]:
    """The rows with the most words made of letters in descending order, or the fewest."""
    measured = {
        "op": "gopher_quality_filter", "keep_signals": True, "min_words": 0,
        "min_mean_word_length": 0, "max_mean_word_length": 100, "max_symbol_ratio": 1,
        "max_bullet_lines": 1, "max_ellipsis_lines": 1, "min_alpha_words": 0, "min_stop_words": 0,
    }  # fmt: skip
    return [measured, _best("gopher_alpha_words", order, share)]


def random_steps(rng: random.Random, languages: Sequence[str], count: int) -> list[Step]:
    """Steps of the given number of kinds, with random parameters that leave rows over.

    `languages` are those that the rows are in; none where they are in others, or in code, of which
    steps for prose would leave nothing.
    """
    chosen = rng.sample(_KINDS, min(count, len(_KINDS)))
    return [step for draw in chosen for step in draw(rng, languages)]


def _best(column: str, order: str, share: float) -> Step:
    return {"op": "top_selection", "by": column, "order": order, "share": share}


def _length(rng: random.Random, _: Sequence[str]) -> list[Step]:
    return [{"op": "length_filter", "min_chars": round(10 ** rng.uniform(1, 1.9))}]


def _quality(rng: random.Random, languages: Sequence[str]) -> list[Step]:
    return [
        {
            "op": "gopher_quality_filter",
            "min_words": rng.randint(3, 20) if languages else 1,
            "max_mean_word_length": 30,
            "min_alpha_words": round(rng.uniform(0.2, 0.6), 2),
            "min_stop_words": rng.randint(0, 1) if languages else 0,
        }
    ]


def _repetition(rng: random.Random, _: Sequence[str]) -> list[Step]:
    top = round(rng.uniform(0.2, 0.5), 2)
    return [{"op": "gopher_repetition_filter", "top_2_gram": top, "top_3_gram": top}]


def _language(rng: random.Random, languages: Sequence[str]) -> list[Step]:
    if not languages:
        return []
    sure = round(rng.uniform(0.2, 0.9), 2)
    return [{"op": "language_filter", "languages": list(languages), "min_confidence": sure}]


def _exact(rng: random.Random, _: Sequence[str]) -> list[Step]:
    return [{"op": "exact_dedup", "normalize": "letters" if rng.random() < 0.5 else "none"}]


def _near(rng: random.Random, _: Sequence[str]) -> list[Step]:
    return [
        {
            "op": "minhash_dedup",
            "ngram": rng.randint(2, 6),
            "bands": rng.randint(8, 24),
            "rows": rng.randint(4, 8),
        }
    ]


def _sampled(rng: random.Random, _: Sequence[str]) -> list[Step]:
    return [{"op": "sample", "share": round(rng.uniform(0.3, 0.95), 2)}]


def _ranked_by_length(rng: random.Random, _: Sequence[str]) -> list[Step]:
    order = rng.choice(["ascending", "descending"])
    return length_ranked(order, round(rng.uniform(0.3, 0.9), 2))


def _ranked_by_quality(rng: random.Random, _: Sequence[str]) -> list[Step]:
    order = rng.choice(["ascending", "descending"])
    return quality_ranked(order, round(rng.uniform(0.3, 0.9), 2))


def _unicode(rng: random.Random, _: Sequence[str]) -> list[Step]:
    return [{"op": "fix_unicode", "normalization": rng.choice(["NFC", "NFKC"])}]


def _clean_of_tests(rng: random.Random, _: Sequence[str]) -> list[Step]:
    return [{"op": "decontaminate", "min_share": round(rng.uniform(0.3, 0.75), 2)}]


_KINDS: list[Callable[[random.Random, Sequence[str]], list[Step]]] = [
    _length, _quality, _repetition, _language, _exact, _near, _sampled, _ranked_by_length,
    _ranked_by_quality, _unicode, _clean_of_tests,
]  # fmt: skip
