"""The prompt that asks a policy for a recipe: task, budget, sources, operators, and the answer."""

from datachef.policy.prompt.writer import TRUNCATION, CountTokens, PromptWriter

__all__ = ["TRUNCATION", "CountTokens", "PromptWriter"]
