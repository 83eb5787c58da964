"""Measures of single texts, each taken once: signals, language and what guardrails look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core.text.languages import (
    UNDETERMINED_LANGUAGE,
    LanguageIdentifier,
    identify_languages,
)
from datachef.core.text.personal_data import holds_personal_data
from datachef.reward.toxicity import toxic

T = TypeVar("T")

Indices = NDArray[np.int64]

QUANTILES = (0.1, 0.5, 0.9)
# More text hardly changes the language that is found, and finding it costs most of all measures.
LANGUAGE_CHARACTERS = 300


class TextCache(Generic[T]):
    """Measures each text once, so that a recipe costs only the texts that are new in it.

    `measure` is called with the new texts; its results are the `chunks`. Texts are told apart by a
    64-bit hash of their content.
    """

    def __init__(self, measure: Callable[[pl.DataFrame], T]) -> None:
        self._measure = measure
        self._indices: dict[int, int] = {}
        self._starts: list[int] = []
        self.chunks: list[T] = []

    def indices(self, texts: pl.DataFrame) -> Indices:
        """The index of each row's measurement in all chunks together. All columns count."""
        hashes = texts.hash_rows(seed=0).to_list()
        known = self._indices
        fresh = [index for index, value in enumerate(hashes) if value not in known]
        if fresh:
            first: dict[int, int] = {}
            for index in fresh:
                first.setdefault(hashes[index], index)
            start = len(known)
            known.update({value: start + n for n, value in enumerate(first)})
            self._starts.append(start)
            self.chunks.append(self._measure(texts[list(first.values())]))
        return np.fromiter((known[value] for value in hashes), np.int64, len(hashes))

    def chunk_weights(
        self, indices: Indices, weights: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """The weights of the texts of each chunk, added up where a text occurs several times."""
        total = np.bincount(indices, weights, minlength=len(self._indices))
        return np.split(total, self._starts[1:])


_ANSWER = pl.col("answer")
_LENGTH = _ANSWER.str.len_chars().cast(pl.Float64)
_WORDS = _ANSWER.str.count_matches(r"\S+").cast(pl.Float64)


def _share(pattern: str) -> pl.Expr:
    return _ANSWER.str.count_matches(pattern) / pl.max_horizontal(_LENGTH, pl.lit(1.0))


SIGNALS: dict[str, tuple[str, pl.Expr]] = {
    "answer_log_chars": ("natural logarithm of the answer's characters plus 1", _LENGTH.log1p()),
    "question_log_chars": (
        "natural logarithm of the question's characters plus 1",
        pl.col("question").str.len_chars().cast(pl.Float64).log1p(),
    ),
    "word_chars": (
        "characters per word of the answer",
        _LENGTH / pl.max_horizontal(_WORDS, pl.lit(1.0)),
    ),
    "digit_share": ("share of the answer's characters that are digits", _share(r"\p{Nd}")),
    "symbol_share": (
        "share of the answer's characters that are neither letters, digits nor space",
        _share(r"[^\p{L}\p{N}\s]"),
    ),
    "capital_share": ("share of the answer's characters that are capitals", _share(r"\p{Lu}")),
    "line_share": ("line breaks per character of the answer", _share(r"\n")),
    "foreign_share": (
        "share of the answer's characters that are letters of no Latin script",
        _share(r"[\p{L}--\p{Latin}]"),
    ),
    "unique_word_share": (
        "different words of the answer per word of it",
        _ANSWER.str.extract_all(r"\S+").list.n_unique() / pl.max_horizontal(_WORDS, pl.lit(1.0)),
    ),
}


def measure_signals(texts: pl.DataFrame) -> NDArray[np.float64]:
    """One row of numbers per question and answer, in the order of `SIGNALS`."""
    table = texts.select(expression.alias(name) for name, (_, expression) in SIGNALS.items())
    return table.to_numpy().astype(np.float64)


def weighted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The quantiles `QUANTILES` of each column: shape (columns, quantiles)."""
    order = np.argsort(values, axis=0, kind="stable")
    cumulated = np.cumsum(weights[order], axis=0)
    result = np.empty((values.shape[1], len(QUANTILES)))
    for column in range(values.shape[1]):
        total = cumulated[-1, column]
        at = np.searchsorted(cumulated[:, column], np.array(QUANTILES) * total)
        result[column] = values[order[np.minimum(at, len(values) - 1), column], column]
    return result


def languages_of(texts: pl.Series) -> list[str]:
    """The ISO 639 code of each text's most likely language; `und` where there are no letters."""
    found = identify_languages(pl.col("text"), LANGUAGE_CHARACTERS, LanguageIdentifier)
    language = found.struct.field("language").fill_null(UNDETERMINED_LANGUAGE)
    return texts.to_frame("text").select(language)["language"].to_list()


TEXT_MEASURES = ("toxic", "personal_data", "language")


def text_measures(text: pl.Series) -> pl.DataFrame:
    """`toxic`, `personal_data` and `language` of each text; of null, nothing is known to be bad.

    See `toxic`, `holds_personal_data` of core, and `languages_of`.
    """
    language = pl.Series("language", languages_of(text), pl.String)
    return pl.DataFrame([toxic(text), holds_personal_data(text), language])
