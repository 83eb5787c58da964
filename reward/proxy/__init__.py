"""Predicts what a recipe will score from its features, taught by few measurements."""

from datachef.reward.proxy.figures import Estimate, Validation
from datachef.reward.proxy.proxy import Prediction, Proxy
from datachef.reward.proxy.report import Report, cross_validate

__all__ = ["Estimate", "Prediction", "Proxy", "Report", "Validation", "cross_validate"]
