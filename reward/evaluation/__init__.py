"""True measurement: fine-tunes a base model on a corpus and scores it."""

from datachef.reward.evaluation.bits import BitsPerByte, bits_per_byte
from datachef.reward.evaluation.evaluate import Measurement, Summary, evaluate, summary
from datachef.reward.evaluation.tiny import make_tiny
from datachef.reward.evaluation.training import Training, fine_tune

__all__ = [
    "BitsPerByte",
    "Measurement",
    "Summary",
    "Training",
    "bits_per_byte",
    "evaluate",
    "fine_tune",
    "make_tiny",
    "summary",
]
