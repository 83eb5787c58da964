"""Operators of a team that knows nothing of policies, loaded with --plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from datachef.core import Filter, Operator, hookimpl, threshold


class BandFilter(Filter):
    """Keeps text of a size between two bounds."""

    op: Literal["band_filter"] = "band_filter"
    least: int = threshold(10, ge=0, le=1_000, description="Fewest characters.")
    most: int = threshold(40, ge=0, le=1_000, description="Most characters.")
    style: str = Field("plain", examples=["plain", "fancy"], description="Of no effect.")
    note: str = Field("", description="Free text.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is above most")
        return self

    def signals(self) -> Mapping[str, pl.Expr]:
        return {"size": pl.col("text").str.len_chars()}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"out_of_band": ~pl.col("size").is_between(self.least, self.most)}


class QualityFilter(Filter):
    """Drops rows of low quality, where a source knows about it."""

    op: Literal["quality_filter"] = "quality_filter"
    least: float = threshold(0.5, ge=0, le=1, description="Lowest quality kept.")

    def reads(self) -> set[str]:
        return {"quality"}

    def signals(self) -> Mapping[str, pl.Expr]:
        return {"own_quality": pl.col("quality")}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"poor": pl.col("own_quality") < self.least}


@hookimpl
def datachef_operators() -> list[type[Operator]]:
    return [BandFilter, QualityFilter]
