"""Perplexity of a text under a small language model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import CheckContext, Filter, asset_name, threshold
from datachef.operators.models.language_model import REQUIRED, ROWS_PER_CALL, language_model

if TYPE_CHECKING:
    from datachef.core import Signal

_LIMITS = [10, 20, 30, 50, 100, 200, 500, 1000]


class PerplexityFilter(Filter):
    """Drops text that a small language model finds too surprising, or not surprising at all.

    Perplexity is the exponential of the mean loss per token, as in CCNet (Wenzek et al. 2020,
    https://aclanthology.org/2020.lrec-1.494), here under a causal language model instead of an
    n-gram model of Wikipedia, and of the first `max_tokens` tokens. What is usual depends on
    model and language: keep the signal, look at its distribution, then set `max`. Text of one line
    that repeats itself has a low perplexity, which `min` drops. Costs about a second per 300 tokens
    and core with `smollm2`.
    """

    not_for_policies: ClassVar[str] = "A row takes about a second, and a policy tries many recipes."
    rows_per_call: ClassVar[int | None] = ROWS_PER_CALL

    op: Literal["perplexity_filter"] = "perplexity_filter"

    model: str = asset_name("smollm2", description="Asset with a causal language model.")
    max_tokens: int = Field(
        512, ge=8, le=8192, description="Tokens from the beginning that are read."
    )
    max: float | None = threshold(
        None, gt=1, le=1e9, description="Perplexity above which text is dropped.", examples=_LIMITS
    )
    min: float | None = threshold(
        None, ge=1, le=1e9, description="Perplexity below which text is dropped.", examples=[2, 5]
    )

    def requires(self) -> Mapping[str, str]:
        return REQUIRED

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.max is not None and self.min is not None and self.min > self.max:
            yield "min", f"min is {self.min:g} and max is {self.max:g}: nothing is left", ""

    def signals(self) -> Mapping[str, Signal]:
        return {"perplexity": self._perplexities}

    def _perplexities(self, batch: pl.DataFrame) -> pl.Series:
        model = language_model(self.model)
        losses = [model.loss(model.tokens(text or "")[: self.max_tokens]) for text in batch["text"]]
        # Of what has no tokens nothing is known; a loss this high would be no number any more.
        found = [None if loss is None else math.exp(min(loss, 700.0)) for loss in losses]
        return pl.Series("perplexity", found, pl.Float64)

    def reasons(self) -> tuple[str, ...]:
        return ("no_tokens", "too_high_perplexity", "too_low_perplexity")

    def rules(self) -> Mapping[str, pl.Expr]:
        perplexity, never = pl.col("perplexity"), pl.lit(False)
        return {
            "no_tokens": perplexity.is_null(),
            "too_high_perplexity": never if self.max is None else perplexity > self.max,
            "too_low_perplexity": never if self.min is None else perplexity < self.min,
        }
