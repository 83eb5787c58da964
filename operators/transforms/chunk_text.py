"""Long texts in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from datachef.core import BYTES_PER_TOKEN, TokenCounter, Transform, extra, input_file
from datachef.operators.text.words import CLOSERS, SENTENCE_ENDS, UNSPACED

_WORD = rf"[{UNSPACED}]|[^\s{UNSPACED}]+"
_CLOSED = rf"[{CLOSERS}\x22'”’)\]]{{0,8}}"
# From coarse to fine; the pieces of a text make up the whole of it.
_PIECES = {
    "paragraph": r"(?s:.+?)(?:\n[^\S\n]*\n\s*|\z)",
    "sentence": rf"(?s:.+?)(?:[{SENTENCE_ENDS}]{_CLOSED}\s+|[。！？．｡]{_CLOSED}\s*|\n\s*|\z)",
    "word": rf"\s*(?:{_WORD})|\s+\z",
}


class ChunkText(Transform):
    """Cuts long text into several rows of limited size, at the ends of paragraphs or sentences.

    Paragraphs that follow one another are put together as long as they fit, as other libraries do
    (LangChain's `RecursiveCharacterTextSplitter`); one that is too long is cut at its sentences,
    a sentence at its words, and a word, which is then no word, anywhere. With `overlap` a row
    begins with what the one before it ends with. Conversations stay whole: `split_turns` cuts them.
    """

    max_rows: ClassVar[int | None] = None

    op: Literal["chunk_text"] = "chunk_text"
    max_size: int = Field(512, ge=8, le=1_000_000, description="Greatest size of a row.")
    unit: Literal["tokens", "characters", "words"] = Field(
        "tokens", description="What sizes are counted in."
    )
    overlap: int = Field(
        0, ge=0, le=100_000, description="Greatest size of what two rows have in common."
    )
    boundary: Literal["paragraph", "sentence", "word"] = Field(
        "paragraph", description="What is kept together where it fits."
    )
    tokenizer: str | None = input_file(
        description="A tokenizer.json; without it a token is four bytes of text."
    )

    @model_validator(mode="after")
    def _overlap_is_small(self) -> Self:
        if self.overlap * 2 > self.max_size:
            raise ValueError("overlap is at most half of max_size")
        return self

    def requires(self) -> Mapping[str, str]:
        counted = self.unit == "tokens" and self.tokenizer is not None
        return {"tokenizers": extra("hf")} if counted else {}

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        whole = self._sizes(batch["text"]) <= self._limit(self.max_size)
        if "messages" in batch.columns:
            whole |= batch["messages"].is_not_null()
        cut = pl.DataFrame({"row": pl.arange(batch.height, eager=True), "text": batch["text"]})
        cut = pl.concat([cut.filter(whole), self._cut(cut.filter(~whole), self.max_size)])
        cut = cut.filter(pl.col("text").str.len_bytes() > 0).sort("row", maintain_order=True)
        return batch[cut["row"]].with_columns(cut["text"])

    def _cut(self, rows: pl.DataFrame, size: int) -> pl.DataFrame:
        """The rows cut into chunks of parts that together have this size."""
        if rows.is_empty():
            return rows
        place, begin, length = self._chunks(rows["text"], size)
        part = pl.col("text").str.slice(pl.lit(begin), pl.lit(length)).str.strip_chars()
        chunks = rows[place].with_columns(part)
        if self.unit != "tokens" or self.tokenizer is None or size == 1:
            return chunks
        # A text may have more tokens than its parts have by themselves.
        large = chunks["row"].filter(self._sizes(chunks["text"]) > self.max_size)
        again = pl.col("row").is_in(large.unique().implode())
        smaller = self._cut(rows.filter(again), size - max(1, size // 16))
        return pl.concat([chunks.filter(~again), smaller])

    def _chunks(self, text: pl.Series, limit: int) -> tuple[pl.Series, pl.Series, pl.Series]:
        """Of every chunk the place of its text, where it begins and how long it is."""
        pieces = self._pieces(text, limit)
        size = np.concatenate([[0], np.cumsum(pieces["size"].to_numpy())])
        chars = np.concatenate([[0], np.cumsum(pieces["piece"].str.len_chars().to_numpy())])
        ends = np.searchsorted(pieces["text"].to_numpy(), np.arange(len(text)), side="right")
        start = first = np.concatenate([[0], ends[:-1]])
        open_texts = np.arange(len(text))
        most, overlap = self._limit(limit), self._limit(min(self.overlap, limit // 2))
        found: list[tuple[Any, Any, Any]] = []
        while len(open_texts):  # once for each chunk of the longest text
            fitting = np.searchsorted(size, size[start] + most, side="right") - 1
            stop = np.minimum(np.maximum(fitting, start + 1), ends[open_texts])
            found.append((open_texts, start, stop))
            more = stop < ends[open_texts]
            start, stop, open_texts = start[more], stop[more], open_texts[more]
            again = np.searchsorted(size, size[stop] - overlap, side="left")
            start = np.clip(again, start + 1, stop)
        place, begin, end = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((begin, place))
        place, begin, end = place[order], begin[order], end[order]
        at = chars[begin] - chars[first[place]]
        return pl.Series(place), pl.Series(at), pl.Series(chars[end] - chars[begin])

    def _pieces(self, text: pl.Series, size: int) -> pl.DataFrame:
        """The smallest parts of each text that stay together, with their sizes."""
        pieces = pl.DataFrame({"text": np.arange(len(text)), "piece": text})
        limit = self._limit(size)
        levels = list(_PIECES)
        patterns = [_PIECES[level] for level in levels[levels.index(self.boundary) :]]
        for pattern in [*patterns, rf"(?s:.{{1,{self._characters(size)}}})"]:
            large = self._sizes(pieces["piece"]) > limit
            piece = pl.col("piece")
            parts = pl.when(large).then(piece.str.extract_all(pattern))
            pieces = pieces.with_columns(parts.otherwise(pl.concat_list(piece))).explode("piece")
        return pieces.with_columns(self._sizes(pieces["piece"]).alias("size"))

    def _characters(self, size: int) -> int:
        """How many characters have at most this size, wherever they are cut."""
        counted = self.unit == "tokens" and self.tokenizer is not None
        return max(1, size // BYTES_PER_TOKEN) if counted else size

    def _limit(self, size: int) -> int:
        in_bytes = self.unit == "tokens" and self.tokenizer is None
        return size * BYTES_PER_TOKEN if in_bytes else size

    def _sizes(self, text: pl.Series) -> pl.Series:
        if self.unit == "characters":
            sizes = text.str.len_chars()
        elif self.unit == "words":
            sizes = text.str.count_matches(_WORD)
        elif self.tokenizer is None:
            sizes = text.str.len_bytes()
        else:
            sizes = self._counter.count(text)
        return sizes.cast(pl.Int64)

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self.tokenizer)
