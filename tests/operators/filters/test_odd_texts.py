"""Every filter on texts that break careless code."""

from __future__ import annotations

import random

import polars as pl
import pytest

from datachef.core import Filter
from datachef.core.run.signals import Intermediates, measure
from datachef.operators.filters.c4_paragraph_filter import C4ParagraphFilter
from datachef.operators.filters.c4_quality_filter import C4QualityFilter
from datachef.operators.filters.code.code_quality_filter import CodeQualityFilter
from datachef.operators.filters.code.syntax_filter import SyntaxFilter
from datachef.operators.filters.conversations.refusal_filter import RefusalFilter
from datachef.operators.filters.fineweb_quality_filter import FineWebQualityFilter
from datachef.operators.filters.gopher_quality_filter import GopherQualityFilter
from datachef.operators.filters.gopher_repetition_filter import GopherRepetitionFilter
from datachef.operators.filters.language_filter import LanguageFilter
from datachef.operators.filters.length_filter import LengthFilter
from datachef.operators.filters.regex_filter import RegexFilter
from datachef.operators.filters.statistics.character_repetition_filter import (
    CharacterRepetitionFilter,
)
from datachef.operators.filters.statistics.maximum_line_length_filter import (
    MaximumLineLengthFilter,
)
from datachef.operators.filters.statistics.script_filter import ScriptFilter
from datachef.operators.filters.statistics.stop_words_filter import StopWordsFilter
from datachef.operators.filters.statistics.word_repetition_filter import WordRepetitionFilter

FILTERS: list[Filter] = [
    C4ParagraphFilter(),
    C4QualityFilter(),
    CharacterRepetitionFilter(),
    CodeQualityFilter(),
    FineWebQualityFilter(),
    GopherQualityFilter(),
    GopherRepetitionFilter(),
    LanguageFilter(),
    LengthFilter(),
    MaximumLineLengthFilter(),
    SyntaxFilter(),
    RefusalFilter(),
    ScriptFilter(),
    StopWordsFilter(),
    WordRepetitionFilter(),
    RegexFilter(patterns=(r"\d{3}",)),
]
TEXTS = [
    "",
    None,
    " \t\n ",
    "\n\n\n",
    "...",
    "•",
    "😀😀 👩‍👩‍👧",
    "שלום עולם. זה מבחן!",
    "a\u200bb\u200d\ufeff",
    "\x00\x00 a\x00b",
    "\r\n\r\x85\u2028",
    "他们在那里。你好吗？",
    "word " * 3000,
    "x" * 200_000,
    "{" * 50,
    "[1][2] [edit].",
    "A sentence that ends here. And one more!\n" * 4,
]
each_filter = pytest.mark.parametrize("operator", FILTERS, ids=lambda operator: operator.op)


@each_filter
def test_signals_are_finite(operator, signals):
    found = signals(operator, TEXTS)
    assert found.height == len(TEXTS)
    assert not any(found.null_count().row(0))
    for name, dtype in found.schema.items():
        if dtype.is_float():
            assert found[name].is_finite().all(), name


@each_filter
@pytest.mark.parametrize("size", [0, 1, 4])
def test_signals_do_not_depend_on_where_batches_are_cut(operator, size, signals):
    if size == 0:
        assert signals(operator, []).height == 0
        return
    parts = [signals(operator, TEXTS[i : i + size]) for i in range(0, len(TEXTS), size)]
    assert pl.concat(parts).equals(signals(operator, TEXTS))


def test_filters_measure_the_same_together_as_alone(signals):
    batch = pl.DataFrame({"text": TEXTS})
    shared = Intermediates()
    for operator in FILTERS:
        assert measure(operator, batch, shared).equals(signals(operator, TEXTS)), operator.op


@each_filter
def test_one_huge_line(operator, signals):
    words = random.Random(0).choices(["alpha", "beta,", "gamma.", "δέλτα"], k=200_000)
    assert signals(operator, [" ".join(words)]).height == 1


@each_filter
@pytest.mark.parametrize("piece", ["!", "! ", "a.", "a. ", "[", "http://", "a!", "-=", "'s", "\n"])
def test_time_grows_with_the_length_and_not_faster(operator, piece, signals):
    # A search that begins anew at each piece would take hours.
    assert signals(operator, [piece * 500_000 + " end of it."]).height == 1
