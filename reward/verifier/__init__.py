"""An LLM judge on sampled rows of a corpus, with exact checkers in its place where they exist."""

from datachef.reward.verifier.judge import (
    GradedRow,
    Judge,
    JudgeFailure,
    RowChecker,
    SampledRow,
    Verdict,
    Verification,
)
from datachef.reward.verifier.verifier import Verifier

__all__ = [
    "GradedRow",
    "Judge",
    "JudgeFailure",
    "RowChecker",
    "SampledRow",
    "Verdict",
    "Verification",
    "Verifier",
]  # fmt: skip
