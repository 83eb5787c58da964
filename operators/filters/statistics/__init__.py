"""Filters that hold one number about a text between two bounds, as Data-Juicer's text filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.filters.statistics.alphanumeric_filter import AlphanumericFilter
    from datachef.operators.filters.statistics.average_line_length_filter import (
        AverageLineLengthFilter,
    )
    from datachef.operators.filters.statistics.character_repetition_filter import (
        CharacterRepetitionFilter,
    )
    from datachef.operators.filters.statistics.flagged_words_filter import FlaggedWordsFilter
    from datachef.operators.filters.statistics.maximum_line_length_filter import (
        MaximumLineLengthFilter,
    )
    from datachef.operators.filters.statistics.script_filter import ScriptFilter
    from datachef.operators.filters.statistics.special_characters_filter import (
        SpecialCharactersFilter,
    )
    from datachef.operators.filters.statistics.stop_words_filter import StopWordsFilter
    from datachef.operators.filters.statistics.text_length_filter import TextLengthFilter
    from datachef.operators.filters.statistics.token_count_filter import TokenCountFilter
    from datachef.operators.filters.statistics.word_count_filter import WordCountFilter
    from datachef.operators.filters.statistics.word_repetition_filter import WordRepetitionFilter

    return [
        AlphanumericFilter,
        AverageLineLengthFilter,
        CharacterRepetitionFilter,
        FlaggedWordsFilter,
        MaximumLineLengthFilter,
        ScriptFilter,
        SpecialCharactersFilter,
        StopWordsFilter,
        TextLengthFilter,
        TokenCountFilter,
        WordCountFilter,
        WordRepetitionFilter,
    ]
