"""Rows that are longer than what a model reads at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    TokenCounter,
    Transform,
    extra,
    input_file,
    render_text,
    turns_column,
    turns_of,
    with_text,
)


class TruncateTokens(Transform):
    """Cuts rows to a number of tokens: text at a token, conversations at whole turns.

    Of a conversation the turns at the end go, so that it ends with an answer, or those at the
    beginning, but for the system prompt, so that it begins with the user. One of which no answer
    fits with its question is dropped. Tokens are those of the text of the turns; what a chat
    template adds is not counted.
    """

    op: Literal["truncate_tokens"] = "truncate_tokens"

    max_tokens: int = Field(2048, ge=1, le=10_000_000, description="Greatest number of tokens.")
    keep: Literal["start", "end"] = Field("start", description="Which end of a row stays.")
    tokenizer: str | None = input_file(
        description="A tokenizer.json; without it a token is four bytes of text."
    )

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_turn_fits")

    def requires(self) -> Mapping[str, str]:
        return {} if self.tokenizer is None else {"tokenizers": extra("hf")}

    def transform(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        rows = batch
        if "messages" in batch.columns:
            chats = [
                None if turns is None else self._kept(turns_of(turns))
                for turns in batch["messages"]
            ]
            rows = rows.with_columns(turns_column(chats))
            text = pl.Series([chat is None for chat in chats], dtype=pl.Boolean)
            fine = pl.Series([chat is None or len(chat) > 0 for chat in chats], dtype=pl.Boolean)
        else:
            text = fine = pl.repeat(True, batch.height, dtype=pl.Boolean, eager=True)
        cut = [
            self._counter.truncated(said, self.max_tokens, self.keep) if plain and said else said
            for said, plain in zip(rows["text"], text, strict=True)
        ]
        rows = with_text(rows.with_columns(pl.Series("text", cut, dtype=pl.String)))
        reason = pl.select(pl.when(~fine).then(pl.lit("no_turn_fits"))).to_series()
        return rows.filter(fine), reason

    def _kept(self, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The turns that fit, from an end, or none."""
        said = pl.Series([render_text(turn) for turn in turns], dtype=pl.String)
        sizes = self._counter.count(said).to_list()
        if sum(sizes) <= self.max_tokens:
            return turns
        if self.keep == "start":
            left, last = self.max_tokens, 0
            for place, (turn, size) in enumerate(zip(turns, sizes, strict=True)):
                left -= size
                if left < 0:
                    break
                if turn["role"] == "assistant":
                    last = place + 1
            return turns[:last]
        system = turns[0]["role"] in ("system", "developer")
        left = self.max_tokens - (sizes[0] if system else 0)
        first = len(turns)
        for place in range(len(turns) - 1, int(system) - 1, -1):
            left -= sizes[place]
            if left < 0:
                break
            if turns[place]["role"] == "user":
                first = place
        kept = turns[first:]
        return [*turns[: int(system)], *kept] if kept else []

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self.tokenizer)
