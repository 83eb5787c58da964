"""Measurements of single rows, whose quantiles over the corpus are features."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

QUANTILES = (0.1, 0.5, 0.9)

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
