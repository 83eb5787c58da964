"""The number of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar, Literal

import polars as pl

from datachef.core import CheckContext, TokenCounter, extra, input_file, threshold
from datachef.operators.filters.range_filter import RangeFilter


class TokenCountFilter(RangeFilter):
    """Drops text with too few or too many tokens.

    Source: `token_num_filter` of Data-Juicer (Chen et al. 2024, https://arxiv.org/abs/2309.02033),
    whose tokenizer is pythia's. Without a tokenizer four bytes of text are taken for a token, as
    everywhere in a recipe that names none. Of a conversation the plain text counts.
    """

    op: Literal["token_count_filter"] = "token_count_filter"
    quantity: ClassVar[str] = "token_count"

    tokenizer: str | None = input_file(
        max_length=4096, description="Path of a tokenizer.json that splits the text."
    )
    min: int = threshold(
        10, ge=0, le=1_000_000, examples=[10, 20, 50], description="Least number of tokens."
    )
    max: int | None = threshold(
        None,
        ge=1,
        le=100_000_000,
        examples=[512, 2_048, 8_192],
        description="Greatest number of tokens; no limit by default.",
    )

    def requires(self) -> Mapping[str, str]:
        return {} if self.tokenizer is None else {"tokenizers": extra("hf")}

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.tokenizer is None:
            return
        try:
            self._counter.count(pl.Series(["text"]))
        except Exception as error:  # noqa: BLE001 - tokenizers raises bare exceptions
            yield "tokenizer", f"no tokenizer: {error}", "name a tokenizer.json"

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self.tokenizer)

    def measurement(self) -> pl.Expr:
        text = pl.col("text").fill_null("")
        return text.map_batches(self._counter.count, return_dtype=pl.Int64, is_elementwise=True)
