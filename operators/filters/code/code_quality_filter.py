"""Rules of StarCoder and CodeParrot for files of source code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import polars as pl

from datachef.core import Filter, threshold
from datachef.operators.text.characters import share_of
from datachef.operators.text.lines import AVERAGE_LINE, LINE_COUNT, LINES, LONGEST_LINE

if TYPE_CHECKING:
    from datachef.core import Signal

_GENERATED = r"(?i)auto-?generated|automatically generated|generated automatically"
_TESTS = r"(?i)unit tests?|test file|configuration file"
_FIRST_LINES = 5
_XML_CHARACTERS = 100


class CodeQualityFilter(Filter):
    """Drops files of code that look like data or were generated and, if asked, tests and settings.

    Source: the rules on lines and characters of Codex (Chen et al. 2021,
    https://arxiv.org/abs/2107.03374) and StarCoder (Li et al. 2023,
    https://arxiv.org/abs/2305.06161), which also drops XML that has another suffix; the words for
    generated files, tests and settings of CodeParrot
    (https://huggingface.co/codeparrot/codeparrot), which drops seven in ten of the latter. They are
    looked for in the first five lines; also, tests and settings say `test` or `config` more than
    once in twenty lines.
    """

    op: Literal["code_quality_filter"] = "code_quality_filter"

    max_average_line_length: float = threshold(
        100, ge=1, le=100_000, description="Greatest average length of the lines in characters."
    )
    max_line_length: int = threshold(
        1000, ge=1, le=10_000_000, description="Greatest length of a line in characters."
    )
    min_alphanumeric: float = threshold(
        0.25, ge=0, le=1, description="Least share of letters and digits among the characters."
    )
    drop_generated: bool = threshold(
        True, description="Drop files that say at the top that they were generated."
    )
    drop_xml: bool = threshold(True, description="Drop files that begin like XML.")
    drop_tests_and_settings: bool = threshold(
        False, description="Drop files of tests and of settings."
    )

    def signals(self) -> Mapping[str, Signal]:
        text, lines = pl.col("text").fill_null(""), pl.col("_lines")
        top = lines.list.head(_FIRST_LINES).list.join("\n")
        mentions = [
            text.str.count_matches(rf"(?i){word}").cast(pl.Int64) * 20 > LINE_COUNT
            for word in ("test", "config")
        ]
        return {
            "_lines": LINES,
            "code_average_line_length": AVERAGE_LINE,
            "code_maximum_line_length": LONGEST_LINE,
            "code_alphanumeric_share": share_of(r"\p{L}\p{N}"),
            "code_generated": top.str.contains(_GENERATED),
            "code_xml": text.str.head(_XML_CHARACTERS).str.contains("<?xml version=", literal=True),
            "code_test_or_settings": pl.any_horizontal(top.str.contains(_TESTS), *mentions),
        }

    def rules(self) -> Mapping[str, pl.Expr]:
        average = pl.col("code_average_line_length")
        return {
            "lines_too_long_on_average": average > self.max_average_line_length,
            "line_too_long": pl.col("code_maximum_line_length") > self.max_line_length,
            "too_few_alphanumeric": pl.col("code_alphanumeric_share") < self.min_alphanumeric,
            "generated": pl.col("code_generated") & self.drop_generated,
            "xml": pl.col("code_xml") & self.drop_xml,
            "test_or_settings": pl.col("code_test_or_settings") & self.drop_tests_and_settings,
        }
