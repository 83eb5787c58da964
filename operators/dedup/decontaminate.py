"""Rows that hold items of the benchmark the corpus will be judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import polars as pl
from pydantic import Field

from datachef.core import (
    BenchmarkFile,
    CheckContext,
    DatachefError,
    Filter,
    Task,
    input_file,
    path_identity,
    threshold,
)
from datachef.operators.dedup.benchmark_index import BenchmarkIndex, Item, read_items

if TYPE_CHECKING:
    from datachef.core import Signal


_SHOWN = 200


class Decontaminate(Filter):
    """Drops a row that contains a test item of the task's benchmark, however it is set.

    An item counts as contained when n-grams that a row has in common with its question cover most
    of the question, as in the decontamination of Tulu 3 (Lambert et al. 2024,
    https://arxiv.org/abs/2411.15124). Case, spacing, punctuation, accents, the vowel marks of
    Arabic and Hebrew and Unicode form do not count, nor do the lines of the prompt template that
    the items share. A question of fewer words than an n-gram must be there as a whole, with words
    of its options or its answer close behind, or alone on a line; one of fewer than three words, or
    than `min_words` with these, only as a whole line. A rejected row says which item it holds.
    """

    version: ClassVar[int] = 3

    guards_task: ClassVar[bool] = True

    not_for_policies: ClassVar[str] = "It is at the end of every recipe that has a task."

    op: Literal["decontaminate"] = "decontaminate"
    benchmark: BenchmarkFile | None = input_file(
        description="The test items; those of the recipe's task when left out."
    )
    ngram: int = Field(8, ge=3, le=30, description="Words per n-gram.")
    min_words: int = Field(
        4, ge=1, le=30, description="Words of an item that must be found at the least."
    )
    min_share: float = threshold(
        0.75, ge=0.05, le=1.0, description="Share of an item from which a row is contaminated."
    )

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.benchmark is None:
            hint = "give the step a benchmark, or the recipe a task whose benchmark is a file"
            yield "", "there is no benchmark to look for", hint

    def for_task(self, task: Task) -> Self:
        if self.benchmark is not None or not isinstance(task.benchmark, BenchmarkFile):
            return self
        return self.changed({"benchmark": task.benchmark})

    def signals(self) -> Mapping[str, Signal]:
        return {"benchmark_share": self._share}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"contaminated": pl.col("benchmark_share") >= self.min_share}

    @cached_property
    def _index(self) -> BenchmarkIndex:
        if self.benchmark is None:
            raise DatachefError(
                "decontaminate has no benchmark",
                hint="give the step a benchmark, or the recipe a task whose benchmark is a file",
            )
        content = str(path_identity(self.benchmark.path))
        return _index_of(self.benchmark, content, self.ngram, self.min_words)

    def _share(self, batch: pl.DataFrame) -> pl.Series:
        return pl.Series(self._index.best(batch["text"])[0])

    def details(self, dropped: pl.DataFrame) -> pl.Series:
        assert self.benchmark is not None
        name = Path(self.benchmark.path).name
        found = zip(*self._index.best(dropped["text"]), strict=True)
        return pl.Series(
            [f"{share:.0%} of {name}, {_named(self._index.item(item))}" for share, item in found],
            dtype=pl.String,
        )


def _named(item: Item) -> str:
    prompt = " ".join(item.prompt.split())
    shown = prompt if len(prompt) <= _SHOWN else f"{prompt[:_SHOWN]}..."
    return f"item {item.row}: {shown}"


@lru_cache(maxsize=4)
def _index_of(
    benchmark: BenchmarkFile, content: str, ngram: int, fewest_words: int
) -> BenchmarkIndex:
    """An operator is built anew for every recipe; what it looks for stays as it is until the
    `content` of the file is another."""
    return BenchmarkIndex(read_items(benchmark), ngram, fewest_words)
