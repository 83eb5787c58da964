"""Perplexity of a text under a small language model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import CheckContext, Filter, asset_name, input_file, threshold
from datachef.operators.models import ngram_model
from datachef.operators.models.language_model import REQUIRED, ROWS_PER_CALL, language_model
from datachef.operators.models.ngram_model import NGramModel

if TYPE_CHECKING:
    from datachef.core import Signal

_WITH_PIECES = {**ngram_model.REQUIRED, **ngram_model.PIECES}
_LIMITS = [10, 20, 30, 50, 100, 200, 500, 1000]


class PerplexityFilter(Filter):
    """Drops text that a language model finds too surprising, or not surprising at all.

    Perplexity is the exponential of the mean loss per token, as in CCNet (Wenzek et al. 2020,
    https://aclanthology.org/2020.lrec-1.494). What is usual depends on model and language: keep
    the signal, look at its distribution, then set `max`. Text that repeats itself has a low
    perplexity, which `min` drops.

    The model is a small causal language model, which reads the first `max_tokens` tokens of a text
    and takes about a second for 300 of them; or with `kenlm`, thousands of times as fast, an n-gram
    model of yours, in the way of Data-Juicer: by lines, all of the text, in words between spaces
    or, with `sentencepiece`, in pieces, and without CCNet's normalisation of digits and case.
    """

    not_for_policies: ClassVar[str] = "A row takes about a second, and a policy tries many recipes."
    rows_per_call: ClassVar[int | None] = ROWS_PER_CALL

    op: Literal["perplexity_filter"] = "perplexity_filter"

    model: str = asset_name("smollm2", description="Asset with a causal language model.")
    max_tokens: int = Field(
        512, ge=8, le=8192, description="Tokens from the beginning that are read."
    )
    kenlm: str | None = input_file(
        max_length=4096, description="Path of a KenLM model, in place of the asset."
    )
    sentencepiece: str | None = input_file(
        max_length=4096, description="Path of the SentencePiece model whose pieces KenLM reads."
    )
    max: float | None = threshold(
        None, gt=1, le=1e9, description="Perplexity above which text is dropped.", examples=_LIMITS
    )
    min: float | None = threshold(
        None, ge=1, le=1e9, description="Perplexity below which text is dropped.", examples=[2, 5]
    )

    def requires(self) -> Mapping[str, str]:
        if self.kenlm is None:
            return REQUIRED
        return ngram_model.REQUIRED if self.sentencepiece is None else _WITH_PIECES

    def assets(self) -> tuple[str, ...]:
        return super().assets() if self.kenlm is None else ()

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.max is not None and self.min is not None and self.min > self.max:
            yield "min", f"min is {self.min:g} and max is {self.max:g}: nothing is left", ""
        if self.sentencepiece is not None and self.kenlm is None:
            yield "sentencepiece", "it is for a KenLM model, and there is none", "add kenlm"
        elif self.kenlm is not None:
            try:
                NGramModel(self.kenlm, self.sentencepiece)
            except ImportError:  # there is a problem about the package
                return
            except OSError as error:
                yield "kenlm", str(error), "see https://kheafield.com/code/kenlm"

    def signals(self) -> Mapping[str, Signal]:
        return {"perplexity": self._perplexities}

    def _perplexities(self, batch: pl.DataFrame) -> pl.Series:
        found = [self._perplexity(text or "") for text in batch["text"]]
        return pl.Series("perplexity", found, pl.Float64)

    def _perplexity(self, text: str) -> float | None:
        """None where there are no tokens."""
        if self.kenlm is not None:
            return NGramModel(self.kenlm, self.sentencepiece).perplexity(text)
        model = language_model(self.model)
        loss = model.loss(model.tokens(text, self.max_tokens))
        return None if loss is None else math.exp(min(loss, 700.0))

    def reasons(self) -> tuple[str, ...]:
        return ("no_tokens", "too_high_perplexity", "too_low_perplexity")

    def rules(self) -> Mapping[str, pl.Expr]:
        perplexity, never = pl.col("perplexity"), pl.lit(False)
        return {
            "no_tokens": perplexity.is_null(),
            "too_high_perplexity": never if self.max is None else perplexity > self.max,
            "too_low_perplexity": never if self.min is None else perplexity < self.min,
        }
