"""Remembers what was measured of a text, so that a recipe costs only what is new in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

T = TypeVar("T")

Places = NDArray[np.int64]


class Bank(Generic[T]):
    """Measurements of texts, in chunks: `measure` is called with texts that are new.

    A text is known by a 64-bit hash of its content.
    """

    def __init__(self, measure: Callable[[pl.DataFrame], T]) -> None:
        self._measure = measure
        self._places: dict[int, int] = {}
        self._starts: list[int] = []
        self.chunks: list[T] = []

    def places(self, texts: pl.DataFrame) -> Places:
        """Where each row's measurement is: `chunk()` says of which chunk. All columns count."""
        hashes = texts.hash_rows(seed=0).to_list()
        known = self._places
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

    def spread(self, places: Places, weights: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The weights of the texts of each chunk, added up where a text comes several times."""
        total = np.bincount(places, weights, minlength=len(self._places))
        return np.split(total, self._starts[1:])
