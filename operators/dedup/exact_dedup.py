"""Rows with the same text."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from datachef.operators.dedup.keep_rule import KeyedDedup
from datachef.operators.dedup.text_forms import Form, normalized
from datachef.operators.dedup.verified import Compare


class ExactDedup(KeyedDedup):
    """Drops a row whose text another row has that stays, by default the first.

    Texts are compared by a 128-bit BLAKE2b digest: among a trillion different texts, the chance
    that any two are taken for equal is below one in a hundred million.
    """

    version: ClassVar[int] = 2

    op: Literal["exact_dedup"] = "exact_dedup"
    normalize: Form = Field(
        "none",
        description="What does not make texts different: nothing; the amount of white space; that, "
        "case and Unicode form; or all but letters and digits.",
    )

    @field_validator("normalize", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        """Recipes of version 1 say true or false."""
        return {True: "letters", False: "none"}[value] if isinstance(value, bool) else value

    def reasons(self) -> tuple[str, ...]:
        return ("duplicate",)

    def columns(self, batch: pl.DataFrame) -> list[pl.Series]:
        text = normalized(batch["text"], self.normalize)
        keys = [None if t is None else blake2b(t.encode(), digest_size=16).digest() for t in text]
        return [pl.Series("key", keys, dtype=pl.Binary)]

    def summary_bytes(self, tokens: float) -> float:
        return 16

    def compare(self, rows: pl.DataFrame) -> Compare:
        return lambda left, right: np.ones(len(left), np.bool_)
