"""Adaptation: rows in the form in which the task asks and is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.adaptation.answer_form import AnswerForm
    from datachef.operators.adaptation.chain_of_thought import ChainOfThought
    from datachef.operators.adaptation.prompt_form import PromptForm
    from datachef.operators.adaptation.split_turns import SplitTurns
    from datachef.operators.adaptation.system_prompt import SystemPrompt
    from datachef.operators.adaptation.to_messages import ToMessages
    from datachef.operators.adaptation.truncate_tokens import TruncateTokens

    return [
        AnswerForm,
        ChainOfThought,
        PromptForm,
        SplitTurns,
        SystemPrompt,
        ToMessages,
        TruncateTokens,
    ]
