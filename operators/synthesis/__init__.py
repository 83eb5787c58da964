"""Synthesis: new rows through an LLM backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.synthesis.generate_question_answer_pairs import (
        GenerateQuestionAnswerPairs,
    )
    from datachef.operators.synthesis.rephrase_text import RephraseText

    return [GenerateQuestionAnswerPairs, RephraseText]
