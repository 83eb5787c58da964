"""Synthesis: new rows through an LLM backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.synthesis.answer_question import AnswerQuestion
    from datachef.operators.synthesis.back_translate import BackTranslate
    from datachef.operators.synthesis.evol_instruct import EvolInstruct
    from datachef.operators.synthesis.generate_question import GenerateQuestion
    from datachef.operators.synthesis.generate_question_answer_pairs import (
        GenerateQuestionAnswerPairs,
    )
    from datachef.operators.synthesis.judge_score import JudgeScore
    from datachef.operators.synthesis.rejection_sampling import RejectionSampling
    from datachef.operators.synthesis.rephrase_text import RephraseText
    from datachef.operators.synthesis.self_instruct import SelfInstruct
    from datachef.operators.synthesis.to_multiple_choice import ToMultipleChoice

    return [
        AnswerQuestion,
        BackTranslate,
        EvolInstruct,
        GenerateQuestion,
        GenerateQuestionAnswerPairs,
        JudgeScore,
        RejectionSampling,
        RephraseText,
        SelfInstruct,
        ToMultipleChoice,
    ]
