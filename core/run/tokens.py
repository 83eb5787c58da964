"""How many tokens a text has."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import polars as pl

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError

BYTES_PER_TOKEN = 4


class TokenCounter:
    """Counts with a `tokenizer.json`, or takes one token per four bytes where none is given."""

    def __init__(self, tokenizer: str | None = None) -> None:
        self._path = tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPackageError("tokenizers", extra("hf"), "counting tokens") from error
        return Tokenizer.from_file(str(self._path))

    def count(self, text: pl.Series) -> pl.Series:
        """Tokens of each text."""
        if self._path is None:
            return (text.str.len_bytes().cast(pl.Int64) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
        encoded = self._tokenizer.encode_batch_fast(text.to_list(), add_special_tokens=False)
        return pl.Series([len(item) for item in encoded], dtype=pl.Int64)
