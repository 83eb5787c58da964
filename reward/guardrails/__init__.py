"""Limits outside the score: a corpus that breaks one fails, however well it would do."""

from datachef.reward.guardrails.guardrails import Findings, Guardrails, Violation
from datachef.reward.guardrails.limits import Group, Limits
from datachef.reward.guardrails.measures import row_measures, text_measures

__all__ = [
    "Findings", "Group", "Guardrails", "Limits", "Violation", "row_measures", "text_measures",
]  # fmt: skip
