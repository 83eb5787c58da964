"""The share of characters that are no letters."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from datachef.core import threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.characters import share_of


class SpecialCharactersFilter(RangeFilter):
    """Drops text with too great a share of spaces, digits, punctuation, symbols and emoji.

    Source: `special_characters_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033). Its list names what was seen on web pages; here all that is
    neither a letter nor a mark on one is special, in every script.
    """

    op: Literal["special_characters_filter"] = "special_characters_filter"
    quantity: ClassVar[str] = "special_character_share"

    min: float = threshold(
        0, ge=0, le=1, examples=[0], description="Least share of the characters."
    )
    max: float = threshold(
        0.25,
        ge=0,
        le=1,
        examples=[0.25, 0.3, 0.4, 0.5],
        description="Greatest share of the characters.",
    )

    def measurement(self) -> pl.Expr:
        return share_of(r"^\p{L}\p{M}")
