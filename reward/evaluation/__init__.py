"""Measures recipes truly: fine-tunes a base model on their corpora and scores it."""

from datachef.reward.evaluation.evaluate import (
    BitsPerByte,
    EvaluationSettings,
    SeedResult,
    bits_per_byte,
    evaluate,
)
from datachef.reward.evaluation.training import Training, fine_tune, make_tiny

__all__ = [
    "BitsPerByte", "EvaluationSettings", "SeedResult", "Training", "bits_per_byte", "evaluate",
    "fine_tune", "make_tiny",
]  # fmt: skip
