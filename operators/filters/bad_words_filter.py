"""Words and expressions that a text must not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl

from datachef.core import CheckContext, Filter, input_file, threshold
from datachef.operators.text.word_lists import list_problem, read_list
from datachef.operators.text.words import UNSPACED

if TYPE_CHECKING:
    from datachef.core import Signal


class BadWordsFilter(Filter):
    """Drops text with words or expressions of a list, such as obscene ones, like C4.

    Source: Raffel et al. 2020, https://jmlr.org/papers/v21/20-074.html, whose lists are those at
    https://github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words: files of one
    word or expression a line, in any language. They are found without case and as whole words;
    those written in a script without spaces (Chinese, Japanese, Thai) are found anywhere, as in
    mC4, so leave out of a list what is part of harmless words. A rejected row says which it has.
    """

    not_for_policies: ClassVar[str] = (
        "Its list of words is a file, and recipes of a policy name none."
    )

    op: Literal["bad_words_filter"] = "bad_words_filter"

    words: str = input_file(..., max_length=4096, description="Path of the list of words.")
    max_matches: int = threshold(
        0, ge=0, le=10_000, description="Greatest number of places with a word of the list."
    )

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        yield from list_problem("words", self.words)

    def signals(self) -> Mapping[str, Signal]:
        return {"bad_words": self._matches}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"bad_words": pl.col("bad_words") > self.max_matches}

    def _matches(self, batch: pl.DataFrame) -> pl.Series:
        listed = read_list(self.words)
        text = batch["text"].fill_null("").str.to_lowercase()
        # Few texts have a word of the list even as a part of others: only these need a regex.
        suspect = text.str.contains_any(listed.implode()).arg_true()
        found = text.gather(suspect).str.count_matches(_pattern(tuple(listed)))
        return pl.zeros(len(text), pl.UInt32, eager=True).scatter(suspect, found)

    def details(self, dropped: pl.DataFrame) -> pl.Series:
        pattern = _pattern(tuple(read_list(self.words)))
        return dropped["text"].str.to_lowercase().str.extract(f"({pattern})").fill_null("")


@lru_cache(maxsize=16)
def _pattern(words: tuple[str, ...]) -> str:
    """Matches a word of the list, with a boundary at each end that is a letter or a digit of a
    script with spaces. Longer words come first, of which others are the beginning."""
    listed, letter = pl.Series(words), rf"[\w--[{UNSPACED}]]"
    begins = listed.str.contains(f"^{letter}").replace_strict({True: r"\b", False: ""})
    ends = listed.str.contains(f"{letter}$").replace_strict({True: r"\b", False: ""})
    patterns = begins + listed.str.escape_regex() + ends
    return "|".join(sorted(patterns, key=len, reverse=True))
