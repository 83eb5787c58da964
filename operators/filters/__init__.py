"""Filters: signals measure a row, rules decide on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.filters.bad_words_filter import BadWordsFilter
    from datachef.operators.filters.c4_paragraph_filter import C4ParagraphFilter
    from datachef.operators.filters.c4_quality_filter import C4QualityFilter
    from datachef.operators.filters.classifier_filter import ClassifierFilter
    from datachef.operators.filters.column_filter import ColumnFilter
    from datachef.operators.filters.fasttext_filter import FastTextFilter
    from datachef.operators.filters.fineweb_quality_filter import FineWebQualityFilter
    from datachef.operators.filters.gopher_quality_filter import GopherQualityFilter
    from datachef.operators.filters.gopher_repetition_filter import GopherRepetitionFilter
    from datachef.operators.filters.ifd_filter import IFDFilter
    from datachef.operators.filters.language_filter import LanguageFilter
    from datachef.operators.filters.length_filter import LengthFilter
    from datachef.operators.filters.perplexity_filter import PerplexityFilter
    from datachef.operators.filters.regex_filter import RegexFilter
    from datachef.operators.filters.url_filter import UrlFilter

    return [
        BadWordsFilter,
        C4ParagraphFilter,
        C4QualityFilter,
        ClassifierFilter,
        ColumnFilter,
        FastTextFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        IFDFilter,
        LanguageFilter,
        LengthFilter,
        PerplexityFilter,
        RegexFilter,
        UrlFilter,
    ]
