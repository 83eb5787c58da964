"""Rows whose questions have nearly the same words in the same order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import Context, CorpusOperator, Size, turns_of
from datachef.operators.text.rouge import most_similar, rouge_words


class RougeDedup(CorpusOperator):
    """Drops rows that an earlier, kept row is like in its words and their order (ROUGE-L).

    The novelty check of Self-Instruct (Wang et al. 2022, arXiv 2212.10560), which keeps an
    instruction whose ROUGE-L with every kept one is below 0.7. All pairs count, as there, but most
    are never compared: two texts that are so alike share one of their rare words. Meant for short
    texts in the numbers that a model can write; `minhash_dedup` is for a web's worth of pages.
    """

    removes_copies: ClassVar[bool] = True

    op: Literal["rouge_dedup"] = "rouge_dedup"

    part: Literal["question", "text"] = Field(
        "question",
        description="What is compared: the last turn of the user, or all of a row. Of a row that "
        "is no conversation it is all.",
    )
    similarity: float = Field(
        0.7, ge=0.3, le=1, description="Drop what has this ROUGE-L or a higher one."
    )

    def reasons(self) -> tuple[str, ...]:
        return ("similar_to_kept",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        texts = [self._text(row) for row in batch.iter_rows(named=True)]
        words = pl.Series("words", [rouge_words(text) for text in texts], pl.List(pl.String))
        return batch.select("id").with_columns(words)

    def _text(self, row: dict[str, Any]) -> str:
        if self.part == "question" and row.get("messages") is not None:
            turns = reversed(turns_of(row["messages"]))
            return next((t["content"] or "" for t in turns if t["role"] == "user"), "")
        return row["text"] or ""

    def decision_bytes(self, size: Size) -> tuple[float, float]:
        # Every word is a text in memory, and one of a sequence.
        return 64 * size.tokens, 8 * size.tokens

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        table = summaries.collect()
        words = table["words"].to_list()
        dropped = list(_similar(words, self.similarity))
        ids = table["id"]
        return pl.DataFrame(
            {
                "id": ids[[place for place, _ in dropped]],
                "reason": ["similar_to_kept"] * len(dropped),
                "detail": [f"like {ids[kept]}" for _, kept in dropped],
            },
            schema={"id": pl.String, "reason": pl.String, "detail": pl.String},
        )


def _similar(rows: Sequence[Sequence[str]], least: float) -> Iterator[tuple[int, int]]:
    """The places of rows that are like a kept row before them, each with the first that it is like.

    Rows of m and n words that are so alike share `least * (m + n) / 2` words, so one of the first
    few when the words of each are sorted, the rarest of the corpus first.
    """
    counts = Counter(word for row in rows for word in row)
    index: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        first = _first_words(row, counts, least)
        candidates = sorted({kept for word in first for kept in index[word]})
        found = most_similar(row, [rows[kept] for kept in candidates], least)
        if found is not None:
            yield place, candidates[found]
            continue
        for word in first:
            index[word].append(place)


def _first_words(row: Iterable[str], counts: Counter[str], least: float) -> list[tuple[str, int]]:
    """Enough of the rarest words of a row that rows that are alike share one of them; each with how
    often it came before in the row."""
    seen: Counter[str] = Counter()
    words = []
    for word in row:
        words.append((word, seen[word]))
        seen[word] += 1
    # The other one has least / (2 - least) times as many words at the fewest.
    shared = ceil(least * len(words) / (2 - least) - 1e-9)
    words.sort(key=lambda word: (counts[word[0]], word))
    return words[: len(words) - shared + 1]
