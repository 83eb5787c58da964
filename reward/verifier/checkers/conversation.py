"""Conversations that cannot be trained on as they are."""

from __future__ import annotations

from datachef.reward.verifier.row import Row
from datachef.reward.verifier.verdict import Verdict

_ORDINARY = {"system", "user", "assistant"}


class ConversationChecker:
    """Calls conversations malformed whose turns do not alternate, or whose answer is missing.

    After a system message, which may be absent, user and assistant take turns; the assistant ends.
    Conversations with other roles (tools) need only end with an answer. Documents are not judged.
    """

    def check(self, row: Row) -> Verdict | None:
        turns = row.turns
        if turns is None:
            return None
        if not turns:
            return Verdict("format", "the conversation has no turns")
        role, content = turns[-1]
        if role != "assistant":
            return Verdict("format", f"the conversation ends with a turn of {role[:50]!r}")
        if not content.strip():
            return Verdict("format", "the last answer is empty")
        roles = [role for role, _ in turns]
        if not set(roles) <= _ORDINARY:
            return None
        spoken = turns[1:] if roles[0] == "system" else turns
        for number, (role, content) in enumerate(spoken):
            expected = ("user", "assistant")[number % 2]
            if role != expected:
                return Verdict("format", f"a turn of {role!r} where {expected!r} is due")
            if not content.strip():
                return Verdict("format", f"a turn of {role!r} is empty")
        return None
