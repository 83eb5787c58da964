"""Filters for conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.filters.conversations.answer_check_filter import AnswerCheckFilter
    from datachef.operators.filters.conversations.conversation_filter import ConversationFilter
    from datachef.operators.filters.conversations.refusal_filter import RefusalFilter
    from datachef.operators.filters.conversations.reward_model_filter import RewardModelFilter

    return [AnswerCheckFilter, ConversationFilter, RefusalFilter, RewardModelFilter]
