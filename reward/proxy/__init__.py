"""Predicts what a recipe will score from its features, fitted to few measurements."""

from datachef.reward.proxy.proxy import Prediction, Proxy
from datachef.reward.proxy.validation import (
    BootstrapEstimate,
    CrossValidation,
    Validation,
    cross_validate,
)

__all__ = [
    "BootstrapEstimate",
    "CrossValidation",
    "Prediction",
    "Proxy",
    "Validation",
    "cross_validate",
]
