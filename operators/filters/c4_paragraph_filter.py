"""mC4's rule on paragraphs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold
from datachef.operators.text.lines import LINES
from datachef.operators.text.words import offsets_of, sums

if TYPE_CHECKING:
    from datachef.core import Signal


def long_lines(lines: pl.Series, least: int) -> pl.Series:
    """The number of lines of each text that have at least `least` characters."""
    flat = lines.explode(empty_as_null=False, keep_nulls=False)
    found = sums((flat.str.len_chars() >= least).to_numpy(), offsets_of(lines.list.len()))
    return pl.Series(lines.name, found)


@lru_cache(maxsize=64)  # so that equal parameters share one expression
def _long_lines(least: int) -> pl.Expr:
    return pl.col("_lines").map_batches(
        partial(long_lines, least=least), return_dtype=pl.Int64, is_elementwise=True
    )


class C4ParagraphFilter(Filter):
    """Drops pages with fewer than three lines that are long enough for a paragraph, like mC4.

    Source: Xue et al. 2021, https://arxiv.org/abs/2010.11934; the rule and its numbers are those of
    https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/text/c4_utils.py. Made
    for pages of all languages; a character of Chinese, Japanese or Korean says more than one of an
    alphabet, so 70 to 100 characters are as much of a paragraph there.
    """

    op: Literal["c4_paragraph_filter"] = "c4_paragraph_filter"

    min_paragraph_length: int = Field(
        200, ge=1, le=10_000, description="Characters from which on a line is a paragraph."
    )
    min_paragraphs: int = threshold(3, ge=0, le=1_000, description="Least number of paragraphs.")

    def signals(self) -> Mapping[str, Signal]:
        return {"_lines": LINES, "c4_paragraphs": _long_lines(self.min_paragraph_length)}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"too_few_paragraphs": pl.col("c4_paragraphs") < self.min_paragraphs}
