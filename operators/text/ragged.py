"""Sums over the documents of flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.ngrams import Offsets


def document_of(offsets: Offsets) -> NDArray[np.int64]:
    """The number of the document to which each element of the flat array belongs."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def sums(values: NDArray[Any], offsets: Offsets) -> NDArray[np.int64]:
    """The sum of whole numbers or booleans over each document, 0 for one without elements."""
    running = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """`part / whole`, 0 where there is no whole."""
    return pl.when(whole > 0).then(part / whole).otherwise(0.0)
