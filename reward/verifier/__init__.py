"""An LLM judge on sampled rows of a corpus, with exact checkers in its place where they exist."""

from datachef.reward.verifier.judge import Judge
from datachef.reward.verifier.row import Row, RowChecker
from datachef.reward.verifier.verdict import Failure, RowOpinion, Verdict, Verification
from datachef.reward.verifier.verifier import Verifier

__all__ = [
    "Failure", "Judge", "Row", "RowChecker", "RowOpinion", "Verdict", "Verification", "Verifier",
]  # fmt: skip
