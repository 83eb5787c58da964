"""Regular expressions that a text must or must not match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import AfterValidator, Field

from datachef.core import Filter, threshold

if TYPE_CHECKING:
    from datachef.core import Signal


def _compiles(pattern: str) -> str:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        cause = str(error).partition("\n\n")[0]
        raise ValueError(f"not a regular expression of Rust's regex crate: {cause}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_compiles)]


class RegexFilter(Filter):
    """Drops text that matches one of the patterns, or keeps only text that does.

    Patterns are those of Rust's regex crate: no lookaround and no backreferences, and a search in
    linear time whatever the pattern. `(?i)` at the beginning ignores case, `(?m)` lets `^` and `$`
    match at lines. At least `min_matches` matches, of all patterns together, count as a match.
    """

    not_for_policies: ClassVar[str] = (
        "The patterns are free text, of which there is no list to choose from."
    )

    op: Literal["regex_filter"] = "regex_filter"

    patterns: tuple[Pattern, ...] = Field(
        min_length=1, max_length=100, description="Regular expressions to search for."
    )
    action: Literal["drop", "keep"] = threshold(
        "drop", description="What happens to text that matches; the rest meets the opposite."
    )
    min_matches: int = threshold(
        1, ge=1, le=10_000, description="Number of matches from which on a text matches."
    )

    def signals(self) -> Mapping[str, Signal]:
        text = pl.col("text").fill_null("")
        return {
            "regex_matches": pl.sum_horizontal(
                [text.str.count_matches(pattern).cast(pl.Int64) for pattern in self.patterns]
            )
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        enough = pl.col("regex_matches") >= self.min_matches
        if self.action == "drop":
            return {"regex_match": enough}
        return {"no_regex_match": ~enough}
