"""How a policy is asked: the prompt about a task, its budget, sources and operators."""

from datachef.policy.prompt.writer import TRUNCATION, CountTokens, PromptWriter

__all__ = ["TRUNCATION", "CountTokens", "PromptWriter"]
