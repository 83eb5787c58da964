"""Rows that are longer than what a model reads at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    DatachefError,
    MissingPackageError,
    Outcome,
    Transform,
    extra,
    input_file,
    render_text,
    turns_column,
    turns_of,
    with_text,
)

_BYTES_PER_TOKEN = 4


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

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        return self.process(batch).rows

    def process(self, batch: pl.DataFrame) -> Outcome:
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
        texts = zip(rows["text"], text, strict=True)
        cut = [self._cut(said) if plain else said for said, plain in texts]
        rows = with_text(rows.with_columns(pl.Series("text", cut, dtype=pl.String)))
        told = pl.lit("no_turn_fits").alias("reason"), pl.lit("").alias("detail")
        return Outcome(rows.filter(fine), batch.filter(~fine).with_columns(*told))

    def _kept(self, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The turns that fit, from an end, or none."""
        sizes = [self._count(render_text(turn)) for turn in turns]
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

    def _count(self, text: str) -> int:
        if self.tokenizer is None:
            return -(-len(text.encode()) // _BYTES_PER_TOKEN)
        return len(self._tokens.encode(text, add_special_tokens=False).ids)

    def _cut(self, text: str | None) -> str | None:
        """The first or last tokens of a text."""
        if text is None:
            return None
        most = self.max_tokens
        if self.tokenizer is None:
            size = most * _BYTES_PER_TOKEN
            raw = text.encode()
            if len(raw) <= size:
                return text
            part = raw[:size] if self.keep == "start" else raw[-size:]
            return part.decode(errors="ignore")
        offsets = self._tokens.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= most:
            return text
        if self.keep == "start":
            return text[: offsets[most - 1][1]]
        return text[offsets[-most][0] :]

    @cached_property
    def _tokens(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPackageError("tokenizers", extra("hf"), "truncate_tokens") from error
        try:
            tokens = Tokenizer.from_file(str(self.tokenizer))
        except Exception as error:
            raise DatachefError(
                f"{self.tokenizer} is no tokenizer: {error}", "name a tokenizer.json"
            ) from error
        tokens.no_truncation()
        tokens.no_padding()
        return tokens
