"""The share of words that are on a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import polars as pl

from datachef.core import CheckContext, input_file, threshold
from datachef.operators.filters.range_filter import RangeFilter
from datachef.operators.text.word_lists import list_problem, read_list, share_listed
from datachef.operators.text.words import PLAIN_WORDS


class FlaggedWordsFilter(RangeFilter):
    """Drops text with too great a share of the words of a list, such as obscene ones.

    Source: `flagged_words_filter` of Data-Juicer (Chen et al. 2024,
    https://arxiv.org/abs/2309.02033), after the filters of ROOTS (Laurençon et al. 2022,
    https://arxiv.org/abs/2303.03915). The list is a file of one word a line; those at
    https://github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words have this form.
    Words are compared without case and without the marks around them. For scripts without spaces,
    and for expressions of several words, take `bad_words_filter`.
    """

    not_for_policies: ClassVar[str] = (
        "Its list of words is a file, and recipes of a policy name none."
    )

    op: Literal["flagged_words_filter"] = "flagged_words_filter"
    quantity: ClassVar[str] = "flagged_word_share"

    words: str = input_file(..., max_length=4096, description="Path of the list of words.")
    min: float = threshold(0, ge=0, le=1, examples=[0], description="Least share of the words.")
    max: float = threshold(
        0.045, ge=0, le=1, examples=[0.001, 0.01, 0.045], description="Greatest share of the words."
    )

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        yield from list_problem("words", self.words)

    def intermediates(self) -> Mapping[str, pl.Expr]:
        return {"_plain_words": PLAIN_WORDS}

    def measurement(self) -> pl.Expr:
        return share_listed(pl.col("_plain_words"), read_list(self.words))
