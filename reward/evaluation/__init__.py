"""Measures recipes truly: fine-tunes a base model on their corpora and scores it."""

from datachef.reward.evaluation.evaluate import EvaluationSettings, SeedResult, evaluate
from datachef.reward.evaluation.task_scorer import Scoring, TaskScorer
from datachef.reward.evaluation.training import Training, fine_tune, make_tiny

__all__ = [
    "EvaluationSettings", "Scoring", "SeedResult", "TaskScorer", "Training", "evaluate",
    "fine_tune", "make_tiny",
]  # fmt: skip
